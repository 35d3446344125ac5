"""The loss, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from finetune.training.loss import count_correct, mixed, smoothed_targets, validation_losses, weighted_losses

LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 1.5, 1.0]], np.float32)
LABELS = np.array([0, 2], np.int32)
LOG_SHARES = LOGITS - np.log(np.exp(LOGITS).sum(axis=1, keepdims=True))


def test_smoothed_targets_by_hand() -> None:
    """0.3 of the target is spread over three classes, 0.1 each."""
    expected = [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]]
    np.testing.assert_allclose(smoothed_targets(tf.constant(LABELS), 3, 0.3), expected, rtol=1e-6)
    np.testing.assert_array_equal(smoothed_targets(tf.constant(LABELS), 3, 0.0), np.eye(3)[LABELS])


def test_weighted_losses_by_hand() -> None:
    targets = np.array([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], np.float32)
    expected = np.array([2.0, 0.5]) * -(targets * LOG_SHARES).sum(axis=1)
    found = weighted_losses(tf.constant(LOGITS), tf.constant(targets), tf.constant([2.0, 0.5]))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_validation_losses_have_neither_weights_nor_smoothing() -> None:
    found = validation_losses(tf.constant(LOGITS), tf.constant(LABELS))
    np.testing.assert_allclose(found, -LOG_SHARES[[0, 1], LABELS], rtol=1e-6)


def test_mixed_takes_the_image_before() -> None:
    rows, each = tf.constant([[1.0], [2.0], [4.0]]), tf.constant([1.0, 0.0, 1.0])
    mixed_rows, mixed_weights = mixed(tf.constant(0.75), rows, each)
    np.testing.assert_allclose(mixed_rows, [[1.5 + 0.25], [3.0 + 0.5]])
    np.testing.assert_allclose(mixed_weights, [0.25, 0.75])


@pytest.mark.parametrize(("labels", "correct"), [([0, 1], 2), ([0, 2], 1), ([2, 0], 0)])
def test_count_correct(labels: list[int], correct: int) -> None:
    assert float(count_correct(tf.constant(LOGITS), tf.constant(labels, tf.int32))) == correct
