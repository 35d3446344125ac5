"""Rates over time and by layer, decay of kernels, class weights: all by hand; the optimizers against torch."""

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Optimizer
from finetune.training.optimization import Optimizers, class_weights, scheduled_rate

KERNEL = np.array([[1.0, -2.0], [0.5, 3.0]], np.float32)
BIAS = np.array([0.1, 0.2], np.float32)
GRADIENTS = [np.array([[0.3, -0.1], [0.2, 0.4]], np.float32), np.array([0.5, -0.5], np.float32)]


def moved(kind: Optimizer, decay: float = 0.0, steps: int = 1, **factors: float) -> list[NDArray[np.float32]]:
    variables = {"fc8/kernel": tf.Variable(KERNEL), "fc8/bias": tf.Variable(BIAS)}
    optimizers = Optimizers(kind, variables, factors, decay)
    optimizers.set_rate(0.1)
    for _ in range(steps):
        optimizers.apply([tf.constant(gradient) for gradient in GRADIENTS])
    return [variable.numpy() for variable in variables.values()]


def test_cosine_by_hand() -> None:
    assert [scheduled_rate(0.2, done, 4) for done in (0, 2)] == pytest.approx([0.2, 0.1])
    assert scheduled_rate(0.2, 3, 4) == pytest.approx(0.1 * (1 - math.sqrt(0.5)))


def test_step_and_constant_by_hand() -> None:
    assert [scheduled_rate(1.0, done, 6, "step") for done in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert {scheduled_rate(0.5, done, 6, "constant") for done in range(6)} == {0.5}


def test_warmup_by_hand() -> None:
    """Two epochs of warm-up rise to a third and two thirds; the cosine then has the other four for itself."""
    rates = [scheduled_rate(0.3, done, 6, "cosine", warmup=2) for done in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.15 * (1 + math.sqrt(0.5)), 0.15, 0.15 * (1 - math.sqrt(0.5))])


def test_momentum_by_hand() -> None:
    """With momentum 0.9 the second step adds 0.9 of the first: 1 + (0.9 + 1) = 2.9 times the rate and the gradient."""
    kernel, bias = moved("sgd", steps=2)
    np.testing.assert_allclose(kernel, KERNEL - 2.9 * 0.1 * GRADIENTS[0], atol=1e-6)
    np.testing.assert_allclose(bias, BIAS - 2.9 * 0.1 * GRADIENTS[1], atol=1e-6)


def test_decay_is_not_on_biases() -> None:
    kernel, bias = moved("sgd", decay=0.01)
    np.testing.assert_allclose(kernel, KERNEL - 0.1 * (GRADIENTS[0] + 0.01 * KERNEL), atol=1e-7)
    np.testing.assert_allclose(bias, BIAS - 0.1 * GRADIENTS[1], atol=1e-7)


def test_decay_is_not_on_batch_norm() -> None:
    """A kernel is what decays: scale and shift of batch norm have other names, and its statistics no gradient."""
    variables = {name: tf.Variable([1.0]) for name in ("bn/gamma", "bn/beta", "bn/moving_mean", "bn/moving_variance")}
    optimizers = Optimizers("sgd", variables, {}, decay=0.5)
    assert optimizers.names == ["bn/gamma", "bn/beta"]
    optimizers.set_rate(0.1)
    optimizers.apply([tf.constant([0.0])] * 2)
    assert {variable.numpy()[0] for variable in variables.values()} == {1.0}


def test_a_loaded_kernel_moves_by_the_rate_of_itself_at_most() -> None:
    """A gradient 100 times as long as the kernel counts as one of its length; short ones and biases stay."""
    length = float(np.linalg.norm(KERNEL))
    long, short = (GRADIENTS[0] / np.linalg.norm(GRADIENTS[0]) * length * share for share in (100, 0.5))
    for gradient, expected in ((long, long / 100), (short, short)):
        variables = {"fc8/kernel": tf.Variable(KERNEL), "fc8/bias": tf.Variable(BIAS)}
        optimizers = Optimizers("sgd", variables, {}, 0.0, loaded=("fc8",))
        optimizers.set_rate(0.1)
        optimizers.apply([tf.constant(gradient), tf.constant(100 * BIAS)])
        np.testing.assert_allclose(variables["fc8/kernel"], KERNEL - 0.1 * expected, rtol=1e-5)
        np.testing.assert_allclose(variables["fc8/bias"], BIAS - 10 * BIAS, rtol=1e-5)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_factors_multiply_what_a_step_moves(kind: Optimizer) -> None:
    whole, tenth = moved(kind, steps=3), moved(kind, steps=3, fc8=0.1)
    for start, far, near in zip((KERNEL, BIAS), whole, tenth, strict=True):
        np.testing.assert_allclose(near - start, 0.1 * (far - start), atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_three_steps_as_torch(kind: Optimizer) -> None:
    torch = pytest.importorskip("torch")
    kernel, bias = (torch.tensor(value, requires_grad=True) for value in (KERNEL, BIAS))
    groups = [{"params": [kernel], "weight_decay": 0.01}, {"params": [bias], "weight_decay": 0.0}]
    options: dict[str, Any] = {"lr": 0.1, **({"momentum": 0.9} if kind == "sgd" else {"eps": 1e-7})}
    optimizer = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[kind](groups, **options)
    for _ in range(3):
        kernel.grad, bias.grad = (torch.tensor(gradient) for gradient in GRADIENTS)
        optimizer.step()
    for ours, theirs in zip(moved(kind, decay=0.01, steps=3), (kernel, bias), strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=2e-5)


def test_values_and_back() -> None:
    variables = {"fc7/kernel": tf.Variable(KERNEL), "fc8/kernel": tf.Variable(KERNEL)}
    optimizers = Optimizers("adam", variables, {"fc7": 0.5}, 0.0)
    optimizers.apply([tf.constant(GRADIENTS[0])] * 2)
    saved = optimizers.values()
    optimizers.apply([tf.constant(GRADIENTS[0])] * 2)
    optimizers.restore(saved)
    for value, again in zip(saved, optimizers.values(), strict=True):
        np.testing.assert_array_equal(value, again)


def test_balanced_classes_count_the_same() -> None:
    """Of 2, 1 and 3 images in three classes each image counts 6 / (3 · its class): 1, 2 and 2/3."""
    weights = class_weights(np.array([0, 0, 1, 2, 2, 2], np.int32), 3)
    np.testing.assert_allclose(weights, [1, 1, 2, 2 / 3, 2 / 3, 2 / 3], rtol=1e-6)
