"""Training by a Caffe solver: its steps against a NumPy program of the update rule, its batches, and resuming it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.caffe_prototxt import net_text, write_solver
from support.small_heads import NETWORK, plan_for, separable, states

from finetune.networks.forward import forward, normalize
from finetune.networks.initialize import Arrays
from finetune.training.caffe_fit import fitted
from finetune.training.caffe_solver import read_solver
from finetune.training.checkpoint import load_state, save_state
from finetune.training.head import Head
from finetune.training.plan import Plan
from finetune.training.state import Progress
from finetune.training.trainable import LabelledRows

ALL = tuple(NETWORK.weighted_layers())
IMAGES = 10


class Batch(NamedTuple):
    """What one step was given, and the mean loss before it."""

    rows: NDArray[Any]
    labels: NDArray[np.int32]
    loss: float


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches of all steps from now on."""
    found: list[Batch] = []
    step = Head.step

    def recorded(self: Head, rows: NDArray[Any], labels: NDArray[np.int32], *rest: Any) -> tuple[float, float]:
        loss, correct = step(self, rows, labels, *rest)
        found.append(Batch(rows, labels, loss / len(labels)))
        return loss, correct

    monkeypatch.setattr(Head, "step", recorded)
    return found


def plan_with(folder: Path, trained: tuple[str, ...] = ALL, **changes: Any) -> Plan:
    """A plan for a solver of 20 iterations in batches of 4, without dropout, with a weight decay that counts."""
    options = {"max_iter": 20, "stepsize": 7, "weight_decay": 0.05, **changes}
    solver = read_solver(write_solver(folder, net_text(NETWORK, dropout=False), **options))
    found = solver.options(IMAGES)
    plan = plan_for(trained, **{name: found[name] for name in ("epochs", "batch_size", "weight_decay", "dropout")})
    return replace(plan, solver=fitted(solver, NETWORK, IMAGES))


def pixels() -> LabelledRows:
    generator = np.random.default_rng(3)
    labels = (np.arange(IMAGES) % 2).astype(np.int32)
    rows = generator.integers(0, 256, (IMAGES, 67, 67, 3)) // (1 + labels[:, None, None, None])
    return LabelledRows(rows.astype(np.uint8), labels)


def gradients(weights: Arrays, batch: Batch) -> tuple[float, Mapping[str, NDArray[np.float32]]]:
    """The mean softmax loss of a batch, and its gradient by every weight."""
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    with tf.GradientTape() as tape:
        pixels = normalize(NETWORK.preprocessing, tf.constant(batch.rows))
        logits = forward(NETWORK.layers, variables, pixels, many=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.labels, logits)
        loss = tf.reduce_mean(losses)
    return float(loss), {name: value.numpy() for name, value in tape.gradient(loss, variables).items()}


def test_twenty_steps_of_all_layers(tmp_path: Path, batches: list[Batch]) -> None:
    """Caffe's documentation of SGD: V ← μ V - α ∇L(W), W ← W + V, where L has the term λ / 2 · W² for weight decay.

    α is base_lr · 0.1^⌊i / 7⌋ times lr_mult: 1 for kernels, 2 for biases, 10 and 20 in fc8. Biases have no decay.
    """
    plan = plan_with(tmp_path, base_lr=0.0003)
    last = states(plan, pixels(), pixels())[-1]
    assert len(batches) == 20
    weights = dict(plan.weights)
    velocities = {name: np.zeros_like(value) for name, value in weights.items()}
    losses = []
    for step, batch in enumerate(batches):
        loss, gradient = gradients(weights, batch)
        losses.append(loss)
        for name in weights:
            layer, kind = name.split("/")
            rate = 0.0003 * 0.1 ** (step // 7) * (10 if layer == "fc8" else 1) * (2 if kind == "bias" else 1)
            decay = 0.05 if kind == "kernel" else 0.0
            velocities[name] = 0.9 * velocities[name] - np.float32(rate) * (gradient[name] + decay * weights[name])
            weights[name] = (weights[name] + velocities[name]).astype(np.float32)
    found = [batch.loss for batch in batches]
    np.testing.assert_allclose(found[:10], losses[:10], rtol=1e-6)
    np.testing.assert_allclose(found, losses, rtol=1e-5)
    assert found[-1] < 0.9 * found[0], "it learns"
    for name, value in last.values.weights.items():
        np.testing.assert_allclose(value, weights[name], rtol=1e-4, atol=1e-7, err_msg=name)


def test_gradients_are_not_clipped(tmp_path: Path) -> None:
    """A loaded kernel of length 0.001 moves by the whole gradient; with other optimizers by its own length at most."""
    plan = plan_with(tmp_path, ("fc8",), weight_decay=0, lr_policy='"fixed"')
    weights = {**plan.weights, "fc8/kernel": np.full((4, 2), 1e-4, np.float32)}
    moved = {}
    for name, solver in (("caffe", plan.solver), ("own", None)):
        head = Head(replace(plan, weights=weights, trainable=("fc8",), solver=solver))
        head.set_rate(0.01 if solver else 0.1)  # lr_mult is 10
        head.step(1000 * np.ones((2, 4), np.float32), np.zeros(2, np.int32), np.ones(2, np.float32), 0)
        moved[name] = np.abs(head.values().weights["fc8/kernel"] - weights["fc8/kernel"]).max()
    assert moved["caffe"] == pytest.approx(0.1 * 1000 * 0.5, rel=1e-4)  # rate · x · (p - y)
    assert moved["own"] < 1e-4


def test_every_batch_is_full(tmp_path: Path, batches: list[Batch]) -> None:
    """Three batches of 4 see the 10 images of an epoch, two of them twice; the seventh epoch has two iterations."""
    data = separable(IMAGES)
    data.rows[:, 3] = np.arange(IMAGES)  # names the images
    history = states(plan_with(tmp_path, ("fc8",)), data, data)[-1].history
    numbers = [batch.rows[:, 3].astype(int).tolist() for batch in batches]
    assert [len(batch) for batch in numbers] == [4] * 20
    for epoch in range(6):
        seen = np.concatenate(numbers[3 * epoch : 3 * epoch + 3])
        assert sorted(seen[:IMAGES]) == list(range(IMAGES))
    assert len(history) == 7
    assert history[0].train_loss == pytest.approx(np.mean([batch.loss for batch in batches[:3]]))
    assert history[6].train_loss == pytest.approx(np.mean([batch.loss for batch in batches[18:]]))
    assert [epoch.learning_rate for epoch in history] == pytest.approx([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_more_images_in_a_batch_than_there_are(tmp_path: Path, batches: list[Batch]) -> None:
    plan = plan_with(tmp_path, ("fc8",), iter_size=6, max_iter=2)
    states(plan, separable(IMAGES), separable(IMAGES))
    assert [len(batch.labels) for batch in batches] == [24, 24]


def test_resuming_anywhere_ends_with_the_same_bits(tmp_path: Path) -> None:
    """From a state on disk after every step: velocities, and the iteration that the rate follows, come back."""
    data = separable(IMAGES)
    plan = plan_with(tmp_path, ("fc7", "fc8"), max_iter=8, stepsize=3)
    plan = replace(plan, config=replace(plan.config, checkpoint_minutes=1e-9))
    features = np.random.default_rng(0).exponential(size=(IMAGES, 4)).astype(np.float32)
    rows = LabelledRows(features, data.labels)
    whole = states(plan, rows, rows)
    assert [state.part.batches for state in whole] == [1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 0]
    path = tmp_path / "state.safetensors"
    for place, state in enumerate(whole[:-1]):
        save_state(path, state)
        saved = load_state(path)
        before = next((one for one in reversed(whole[: place + 1]) if not one.part.batches), None)
        again = states(plan, rows, rows, Progress(before, saved))[-1]
        assert again.history == whole[-1].history, place
        for name, value in whole[-1].values.weights.items():
            np.testing.assert_array_equal(again.values.weights[name], value, err_msg=f"{place} {name}")
