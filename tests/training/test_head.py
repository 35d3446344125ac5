"""The head: one step by hand, with every switch that changes a step."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from support.small_heads import NETWORK, plan_for, separable

from finetune.networks.forward import forward
from finetune.networks.layers import Dropout
from finetune.training.head import Head, head_logits
from finetune.training.plan import Plan
from finetune.training.trainable import LabelledRows

PLAIN = replace(NETWORK, layers=tuple(layer for layer in NETWORK.layers if not layer.name.startswith("drop")))
DATA = separable(6)
EACH = np.ones(6, np.float32)


def plain_plan(**options: Any) -> Plan:
    """Only fc8 is trained, without dropout, so that a step can be worked out."""
    return replace(plan_for(("fc8",), batch_size=6, **options), network=PLAIN)


def softmax(plan: Plan, rows: NDArray[Any]) -> NDArray[Any]:
    logits = rows @ plan.weights["fc8/kernel"] + plan.weights["fc8/bias"]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def stepped(weights: NDArray[np.float32] = EACH, rate: float = 0.1, share: float = 1.0, **options: Any) -> Head:
    head = Head(plain_plan(**options))
    head.set_rate(rate)
    head.step(DATA.rows, DATA.labels, weights, seed=0, share=share)
    return head


def kernel_after(**options: Any) -> NDArray[np.float32]:
    return stepped(**options).values().weights["fc8/kernel"]


def test_one_step_by_hand() -> None:
    """SGD on softmax cross-entropy: the gradient of the kernel is xᵀ(p - y) / n, of the bias the mean of p - y."""
    plan = plain_plan()
    head = Head(plan)
    head.set_rate(0.1)
    probabilities = softmax(plan, DATA.rows)
    error = probabilities - np.eye(2)[DATA.labels]
    loss, correct = head.step(DATA.rows, DATA.labels, EACH, seed=0)
    assert loss == pytest.approx(-np.log(probabilities[range(6), DATA.labels]).sum(), rel=1e-5)
    assert correct == (probabilities.argmax(axis=1) == DATA.labels).sum()
    after = head.values().weights
    kernel, bias = plan.weights["fc8/kernel"], plan.weights["fc8/bias"]
    np.testing.assert_allclose(after["fc8/kernel"], kernel - 0.1 * DATA.rows.T @ error / 6, atol=1e-6)
    np.testing.assert_allclose(after["fc8/bias"], bias - 0.1 * error.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.25])
def test_the_rate_of_dropout(rate: float) -> None:
    """With fc7's rows all 1 and a kernel of ones, a logit is how many of 4 units are kept, times 1 / (1 - rate)."""
    plan = plan_for(("fc8",), dropout=rate)
    ones = np.ones((4000, 4), np.float32)
    (drop, fc8), seed = plan.head, tf.constant(3, tf.int64)
    assert drop == Dropout("drop7", rate)
    assert plan.network == NETWORK, "the model is written as it was"
    kernel = {"fc8/kernel": np.ones((4, 1), np.float32), "fc8/bias": np.zeros(1, np.float32)}
    logits = forward((drop, fc8), kernel, tf.constant(ones), seed=seed).numpy()
    kept = np.rint(logits * (1 - rate)).ravel()
    np.testing.assert_allclose(logits.ravel(), kept / (1 - rate), rtol=1e-6)
    assert kept.mean() == pytest.approx(4 * (1 - rate), abs=0.07)  # five deviations of the mean


def test_without_dropout_a_step_is_that_of_a_network_without_it() -> None:
    """And with the network's own rate it is not."""
    after = {}
    for name, plan in (
        ("none", plain_plan()),
        ("off", plan_for(("fc8",), batch_size=6, dropout=0.0)),
        ("own", plan_for(("fc8",), batch_size=6)),
        ("half", plan_for(("fc8",), batch_size=6, dropout=0.5)),
    ):
        head = Head(plan)
        head.set_rate(0.1)
        head.step(DATA.rows, DATA.labels, EACH, seed=0)
        after[name] = head.values().weights["fc8/kernel"]
    np.testing.assert_array_equal(after["off"], after["none"])
    np.testing.assert_array_equal(after["half"], after["own"])
    assert not np.array_equal(after["own"], after["none"])


def test_dropout_is_for_training_only() -> None:
    one, other = (Head(plan_for(("fc8",), dropout=rate)).evaluate(DATA) for rate in (0.0, 0.9))
    assert one == other
    plan = plan_for(("fc8",), dropout=0.9)
    expected = DATA.rows @ plan.weights["fc8/kernel"] + plan.weights["fc8/bias"]
    np.testing.assert_allclose(head_logits(plan, DATA), expected, atol=1e-6)


def test_label_smoothing_by_hand() -> None:
    """With ε = 0.2 and two classes the target is 0.9 and 0.1."""
    plan = plain_plan()
    error = softmax(plan, DATA.rows) - np.where(np.eye(2)[DATA.labels] > 0, 0.9, 0.1)
    expected = plan.weights["fc8/kernel"] - 0.1 * DATA.rows.T @ error / 6
    np.testing.assert_allclose(kernel_after(label_smoothing=0.2), expected, atol=1e-6)


def test_mixup_by_hand() -> None:
    """Each row is 0.7 of itself and 0.3 of the one before it in the batch, and so is its target."""
    plan = plain_plan()
    rows = 0.7 * DATA.rows + 0.3 * np.roll(DATA.rows, 1, axis=0)
    targets = 0.7 * np.eye(2)[DATA.labels] + 0.3 * np.roll(np.eye(2)[DATA.labels], 1, axis=0)
    error = softmax(plan, rows) - targets
    expected = plan.weights["fc8/kernel"] - 0.1 * rows.T @ error / 6
    np.testing.assert_allclose(kernel_after(mixup=0.2, share=0.7), expected, atol=1e-6)


def test_image_weights_by_hand() -> None:
    plan = plain_plan()
    weights = np.array([2, 0, 1, 1, 1, 1], np.float32)
    error = (softmax(plan, DATA.rows) - np.eye(2)[DATA.labels]) * weights[:, None]
    expected = plan.weights["fc8/kernel"] - 0.1 * DATA.rows.T @ error / 6
    np.testing.assert_allclose(kernel_after(weights=weights), expected, atol=1e-6)


def test_the_average_by_hand() -> None:
    """While young it keeps (1 + t) / (10 + t) of itself: 2/11 after the first step, if that is below the decay."""
    plan = plain_plan()
    values = stepped(ema=0.9).values()
    before, after = plan.weights["fc8/kernel"], values.weights["fc8/kernel"]
    np.testing.assert_allclose(values.average["fc8/kernel"], 2 / 11 * before + 9 / 11 * after, atol=1e-6)
    values = stepped(ema=0.1).values()
    np.testing.assert_allclose(values.average["fc8/kernel"], 0.1 * before + 0.9 * after, atol=1e-6)


def test_the_average_is_evaluated() -> None:
    head = stepped(ema=0.9, rate=100.0)
    found = head.evaluate(DATA)
    values = head.values()
    head.restore(values._replace(weights=values.average))
    assert head.evaluate(DATA) == found
    head.restore(values._replace(average=values.weights))
    assert head.evaluate(DATA) != found


def test_evaluation_counts_images_not_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.training.trainable.EVALUATION_BATCH_SIZE", 4)
    head = Head(plan_for(("fc8",)))
    data = separable(5)  # a batch of four and one of one
    whole = [head.evaluate(LabelledRows(data.rows[i : i + 1], data.labels[i : i + 1])) for i in range(5)]
    assert head.evaluate(data) == pytest.approx(np.mean(whole, axis=0))
