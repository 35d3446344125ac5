"""The loop: gradients, determinism, what is frozen, what is kept."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.config import TrainConfig
from finetune.errors import FinetuneError
from finetune.networks import build
from finetune.training.checkpoint import load_state, save_state
from finetune.training.loop import Head, Labelled, State, cosine, train_head
from finetune.training.plan import Plan, Source, fresh_weights

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 4})
RNG = np.random.default_rng(0)


def plan_for(trained: tuple[str, ...]) -> Plan:
    weights = fresh_weights(NETWORK, tuple(NETWORK.weighted_layers()), seed=1)
    return Plan(NETWORK, weights, Source("none", None), trained, ())


def config(**options: Any) -> TrainConfig:
    return TrainConfig(data=Path("pictures"), **{"epochs": 3, "batch_size": 4, "learning_rate": 0.1, **options})


def last(plan: Plan, config: TrainConfig, train: Labelled, val: Labelled) -> State:
    return list(train_head(plan, config, lambda epoch: train, val))[-1]


def separable(count: int) -> Labelled:
    """Features of fc7 where the first unit tells the class."""
    labels = (np.arange(count) % 2).astype(np.int32)
    rows = RNG.uniform(0, 0.1, (count, 4)).astype(np.float32)
    rows[:, 0] += labels * 2
    return Labelled(rows, labels)


def test_one_step_by_hand() -> None:
    """SGD on softmax cross-entropy: the gradient of the kernel is xᵀ(p - y) / n, of the bias the mean of p - y."""
    plan = plan_for(("fc8",))
    network = replace(NETWORK, layers=tuple(layer for layer in NETWORK.layers if not layer.name.startswith("drop")))
    plan = replace(plan, network=network)
    data = separable(6)
    head = Head(plan, config(batch_size=6))
    head.set_rate(0.1)
    kernel, bias = plan.weights["fc8/kernel"], plan.weights["fc8/bias"]
    logits = data.rows @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = probabilities - np.eye(2)[data.labels]
    loss, accuracy = head.train_epoch(data, 1)
    assert loss == pytest.approx(-np.log(probabilities[range(6), data.labels]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((logits.argmax(axis=1) == data.labels).mean())
    after = head.trained_weights()
    np.testing.assert_allclose(after["fc8/kernel"], kernel - 0.1 * data.rows.T @ error / 6, atol=1e-6)
    np.testing.assert_allclose(after["fc8/bias"], bias - 0.1 * error.mean(axis=0), atol=1e-6)


def test_evaluation_counts_images_not_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.training.loop.EVALUATION_BATCH_SIZE", 4)
    head = Head(plan_for(("fc8",)), config())
    data = separable(5)  # a batch of four and one of one
    whole = [head.evaluate(Labelled(data.rows[i : i + 1], data.labels[i : i + 1])) for i in range(5)]
    assert head.evaluate(data) == pytest.approx(np.mean(whole, axis=0))


def test_learns_and_keeps_the_best_epoch() -> None:
    data = separable(32)
    states = list(train_head(plan_for(("fc8",)), config(epochs=12), lambda epoch: data, separable(16)))
    assert [len(state.history) for state in states] == list(range(1, 13))
    end = states[-1]
    assert end.best.val_accuracy == 1.0
    assert end.best == max(end.history, key=lambda epoch: (epoch.val_accuracy, -epoch.val_loss))
    best = states[end.best.epoch - 1].weights
    assert set(end.best_weights) == {"fc8/kernel", "fc8/bias"}
    for name, value in end.best_weights.items():
        np.testing.assert_array_equal(value, best[name])


def test_same_seed_same_bits() -> None:
    train, val = separable(30), separable(10)
    plan = plan_for(("fc7", "fc8"))
    train = Labelled(np.abs(RNG.normal(size=(30, 4))).astype(np.float32), train.labels)
    first, again, other = (
        last(plan, config(seed=seed), train, Labelled(train.rows[:10], val.labels)) for seed in (5, 5, 6)
    )
    assert first.history == again.history
    assert first.history != other.history
    for name, value in first.weights.items():
        np.testing.assert_array_equal(value, again.weights[name])


def test_the_whole_network_from_pixels() -> None:
    """With no trunk the rows are uint8 pixels, every layer moves, and the same seed gives the same bits."""
    plan = plan_for(tuple(NETWORK.weighted_layers()))
    rows = RNG.integers(0, 256, (8, 67, 67, 3), dtype=np.uint8)
    data = Labelled(rows, (np.arange(8) % 2).astype(np.int32))
    first, again = (last(plan, config(epochs=2, learning_rate=0.001), data, data) for _ in range(2))
    for name, value in first.weights.items():
        np.testing.assert_array_equal(value, again.weights[name])
        assert not np.array_equal(value, plan.weights[name]), f"{name} did not move"


def test_a_frozen_layer_behind_a_trained_one_stays() -> None:
    """fc7 is frozen between the trained fc6 and fc8: gradients pass through, its weights do not move."""
    plan = plan_for(("fc6", "fc8"))
    features = RNG.uniform(0, 1, (8, 1, 1, 256)).astype(np.float32)
    data = Labelled(features, (np.arange(8) % 2).astype(np.int32))
    outcome = last(plan, config(), data, data)
    assert {name.split("/")[0] for name in outcome.best_weights} == {"fc6", "fc8"}
    assert not np.array_equal(outcome.best_weights["fc6/kernel"], plan.weights["fc6/kernel"])


def test_a_loss_that_is_no_number_ends_it() -> None:
    data = separable(8)
    with pytest.raises(
        FinetuneError, match=r"the loss became (nan|inf) in epoch \d: expected a finite number; lower --l"
    ):
        last(plan_for(("fc8",)), config(learning_rate=1e30, epochs=20), Labelled(data.rows * 1e10, data.labels), data)


@pytest.mark.parametrize("trained", [("fc8",), ("fc6", "fc8")])
def test_going_on_from_disk_ends_with_the_same_bits(trained: tuple[str, ...], tmp_path: Path) -> None:
    plan = plan_for(trained)
    rows = RNG.uniform(0, 1, (12, 1, 1, 256) if "fc6" in trained else (12, 4)).astype(np.float32)
    data = Labelled(rows, (np.arange(12) % 2).astype(np.int32))
    states = list(train_head(plan, config(epochs=5), lambda epoch: data, data))
    save_state(tmp_path / "checkpoint" / "last.safetensors", states[1])
    resumed = list(
        train_head(
            plan, config(epochs=5), lambda epoch: data, data, load_state(tmp_path / "checkpoint" / "last.safetensors")
        )
    )
    assert len(resumed) == 3
    end, other = states[-1], resumed[-1]
    assert (other.history, other.best) == (end.history, end.best)
    for ours, theirs in ((end.weights, other.weights), (end.best_weights, other.best_weights)):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name])
    for mine, its in zip(end.optimizer, other.optimizer, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_one_view_of_every_image_in_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three views an image: each epoch sees every image once, and over epochs all views."""
    head = Head(plan_for(("fc8",)), config())
    seen: list[tuple[float, int]] = []
    monkeypatch.setattr(head, "_step", lambda x, y, seed: (seen.extend(zip(x[:, 0], y, strict=True)), (0.0, 0.0))[1])
    rows = np.zeros((18, 4), np.float32)
    rows[:, 0] = np.arange(18)  # the row's own number
    data = Labelled(rows, np.arange(6, dtype=np.int32), views=3)
    for epoch in range(1, 21):
        seen.clear()
        head.train_epoch(data, epoch)
        assert sorted(label for _, label in seen) == list(range(6))
        assert all(row // 3 == label for row, label in seen)
    views = set()
    for epoch in range(1, 21):
        seen.clear()
        head.train_epoch(data, epoch)
        views |= {row % 3 for row, _ in seen}
    assert views == {0, 1, 2}


def test_cosine_by_hand() -> None:
    assert [cosine(0.2, done, 4) for done in (0, 2)] == pytest.approx([0.2, 0.1])
    assert cosine(0.2, 3, 4) == pytest.approx(0.1 * (1 - math.sqrt(0.5)))
