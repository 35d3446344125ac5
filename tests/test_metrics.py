"""metrics: answers worked out by hand."""

import math

import numpy as np
import pytest

from finetune.metrics import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    Bin,
    bootstrap_interval,
    calibration_error,
    confusion_matrix,
    fit_temperature,
    per_class,
    ranks,
    reliability,
    softmax,
)


def two_classes(*confidences: float) -> np.ndarray:
    """Probabilities of two classes of which the first has the confidence."""
    return np.array([[confidence, 1 - confidence] for confidence in confidences])


def test_ranks() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.4, 0.2, 0.4], [0.4, 0.2, 0.4]])
    assert ranks(scores, np.array([1, 2, 0, 0, 2])).tolist() == [0, 1, 2, 0, 1]


def test_top_5_of_six_classes_leaves_out_the_last() -> None:
    scores = np.tile(np.arange(6.0), (6, 1))
    assert (ranks(scores, np.arange(6)) < 5).tolist() == [False, True, True, True, True, True]


def test_softmax_with_temperature() -> None:
    logits = np.log(np.float32([[1, 9], [4, 4]])) + 500
    np.testing.assert_allclose(softmax(logits), [[0.1, 0.9], [0.5, 0.5]], rtol=1e-4)
    np.testing.assert_allclose(softmax(logits, 2), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-4)


def test_confusion_and_classes() -> None:
    """Four of class 0, three of them right; two of class 1, one right; none of class 2, which is predicted once."""
    labels, predicted = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 1, 1, 2])
    confusion = confusion_matrix(labels, predicted, 3)
    assert confusion.tolist() == [[3, 1, 0], [0, 1, 1], [0, 0, 0]]
    first, second, third = per_class(confusion)
    assert first == pytest.approx((1, 3 / 4, 6 / 7, 4))
    assert second == pytest.approx((1 / 2, 1 / 2, 1 / 2, 2))
    assert third == (0, 0, 0, 0)


def test_a_class_never_predicted_and_one_that_is_absent_are_0() -> None:
    figures = per_class(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 3))
    assert figures == ((0.5, 1, pytest.approx(2 / 3), 1), (0, 0, 0, 1), (0, 0, 0, 0))


def test_reliability_by_hand() -> None:
    """Two bins: 0.5 lies in the lower one, and a share of 2 / 3 is right above it."""
    probabilities = two_classes(0.5, 0.6, 0.7, 0.8)
    low, high = reliability(probabilities, np.array([1, 0, 0, 1]), bins=2)
    assert low == Bin(0, 0.5, 1, 0.5, 0)
    assert high == pytest.approx((0.5, 1, 3, 0.7, 2 / 3))
    # 1/4 · |0 - 0.5| + 3/4 · |2/3 - 0.7|
    assert calibration_error((low, high)) == pytest.approx(0.125 + 0.025)


def test_fifteen_bins_of_equal_width_and_empty_ones() -> None:
    bins = reliability(two_classes(1.0, 0.99), np.array([0, 0]))
    assert len(bins) == 15
    assert [bin.upper - bin.lower for bin in bins] == pytest.approx([1 / 15] * 15)
    assert all(bin[2:] == (0, 0, 0) for bin in bins[:-1])
    assert bins[-1][2:] == (2, pytest.approx(0.995), 1)
    assert calibration_error(bins) == pytest.approx(0.005)


def test_temperature_by_hand() -> None:
    """All images have the logits (2 log 3, 0) and 3 of 4 are right: the best probability, 3/4, needs 2 log 3 / 2."""
    logits = np.tile(np.float32([2 * math.log(3), 0]), (4, 1))
    assert fit_temperature(logits, np.array([0, 0, 0, 1])) == pytest.approx(2, rel=1e-6)
    assert fit_temperature(logits / 6, np.array([0, 0, 0, 1])) == pytest.approx(1 / 3, rel=1e-6)


def test_temperature_lowers_the_loss_and_keeps_the_ranks() -> None:
    generator = np.random.default_rng(4)
    labels = generator.integers(5, size=200)
    logits = 6 * (generator.standard_normal((200, 5)) + np.eye(5)[labels])

    def loss(temperature: float) -> float:
        return -float(np.log(softmax(logits, temperature)[np.arange(200), labels]).mean())

    best = fit_temperature(logits, labels)
    assert all(loss(best) < loss(best * factor) for factor in (0.5, 0.99, 1.01, 2))
    assert (ranks(softmax(logits, best), labels) == ranks(logits, labels)).all()


def test_temperature_without_a_lowest_loss() -> None:
    right = np.float32([[3, 0], [0, 1]])
    assert fit_temperature(right, np.array([0, 1])) == 1
    assert fit_temperature(right, np.array([1, 0])) == pytest.approx(HIGHEST_TEMPERATURE)
    one_hair_wrong = np.float32([[0.5, 0]] * 9 + [[0.001, 0]])
    assert fit_temperature(one_hair_wrong, np.array([0] * 9 + [1])) == pytest.approx(LOWEST_TEMPERATURE)


def test_temperature_of_huge_logits_stays_finite() -> None:
    logits = np.float32([[1e30, 0], [1e30, 0], [-1e30, 0]])
    assert fit_temperature(logits, np.array([0, 0, 0])) == pytest.approx(HIGHEST_TEMPERATURE)


def test_bootstrap() -> None:
    """Of 100 images 80 are right: the mean of a resample has the deviation 0.04, so 95 % lie within ± 0.078."""
    values = np.arange(100) < 80
    low, high = bootstrap_interval(values)
    assert (low, high) == pytest.approx((0.722, 0.878), abs=0.015)
    assert bootstrap_interval(values) == (low, high)
    assert bootstrap_interval(values, seed=1) != (low, high)
    assert bootstrap_interval(values, level=0.5) == pytest.approx((0.773, 0.827), abs=0.015)


def test_bootstrap_of_fractions() -> None:
    """Means of resamples of 0, 1 and 5 keep the mean, 2, and have the deviation √(14 / 3) / √300."""
    low, high = bootstrap_interval(np.tile([0.0, 1.0, 5.0], 100))
    assert (low, high) == pytest.approx((2 - 1.96 * 0.125, 2 + 1.96 * 0.125), abs=0.04)


def test_bootstrap_of_equal_values_has_no_width() -> None:
    assert bootstrap_interval(np.ones(9)) == (1, 1)
    assert bootstrap_interval(np.array([False])) == (0, 0)
