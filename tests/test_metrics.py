"""The metrics, compared with answers worked out by hand or published."""

import math
from itertools import pairwise

import numpy as np
import pytest

from finetune.metrics import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibration_error,
    calibration_floor,
    confusion_matrix,
    fit_temperature,
    log_loss,
    log_losses,
    per_class,
    proven_temperature,
    ranks,
    reliability,
    softmax,
    wilson_interval,
)


def two_classes(*confidences: float) -> np.ndarray:
    """Probabilities of two classes of which the first has the confidence."""
    return np.array([[confidence, 1 - confidence] for confidence in confidences])


def test_ranks() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.1, 0.7, 0.2], [0.4, 0.2, 0.4], [0.4, 0.2, 0.4]])
    assert ranks(scores, np.array([1, 2, 0, 0, 2])).tolist() == [0, 1, 2, 0, 1]


def test_top_5_of_six_classes_excludes_the_last() -> None:
    scores = np.tile(np.arange(6.0), (6, 1))
    assert (ranks(scores, np.arange(6)) < 5).tolist() == [False, True, True, True, True, True]


def test_softmax_with_temperature() -> None:
    logits = np.log(np.float32([[1, 9], [4, 4]])) + 500
    np.testing.assert_allclose(softmax(logits), [[0.1, 0.9], [0.5, 0.5]], rtol=1e-4)
    np.testing.assert_allclose(softmax(logits, 2), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-4)


def test_confusion_and_classes() -> None:
    """Four of class 0, three of them correct; two of class 1, one correct; none of class 2, which is predicted once."""
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


def test_few_images_are_one_bin() -> None:
    """Two of four are correct, at a mean confidence of 0.65."""
    (only,) = reliability(two_classes(0.8, 0.5, 0.6, 0.7), np.array([1, 1, 0, 0]))
    assert only == pytest.approx((0.5, 0.8, 4, 0.65, 0.5))
    assert calibration_error((only,)) == pytest.approx(0.15)
    assert len(reliability(two_classes(0.5), np.array([0]))) == 1


def test_reliability_by_hand() -> None:
    """Of 30 images, the 15 less confident ones, at 0.6, are correct in 6 cases; the others, at 0.9 and 1.0, in 12."""
    probabilities = two_classes(*[0.6] * 15, *[0.9] * 5, *[1.0] * 10)
    labels = np.array([0] * 6 + [1] * 9 + [0] * 12 + [1] * 3)
    order = np.random.default_rng(0).permutation(30)
    low, high = reliability(probabilities[order], labels[order])
    assert low == pytest.approx((0.6, 0.6, 15, 0.6, 6 / 15))
    assert high == pytest.approx((0.9, 1, 15, 14.5 / 15, 12 / 15))
    assert calibration_error((low, high)) == pytest.approx((0.2 + 2.5 / 15) / 2)


@pytest.mark.parametrize(("images", "counts"), [(29, {29}), (49, {16, 17}), (224, {16}), (225, {15}), (1000, {66, 67})])
def test_bins_of_equally_many_images(images: int, counts: set[int]) -> None:
    bins = reliability(two_classes(*np.linspace(0.5, 1, images)), np.zeros(images, int))
    assert {bin.images for bin in bins} == counts
    assert sum(bin.images for bin in bins) == images
    assert len(bins) == min(15, max(1, images // 15))
    assert all(one.upper < other.lower for one, other in pairwise(bins))


def test_images_of_equal_confidence_share_a_bin() -> None:
    """Their order means nothing: all 60 are in one bin, half of them correct."""
    (only,) = reliability(two_classes(*[0.9] * 60), np.arange(60) // 30)
    assert only == pytest.approx((0.9, 0.9, 60, 0.9, 0.5))
    low, high = reliability(two_classes(*[0.6] * 10, *[0.9] * 50), np.zeros(60, int))
    assert (low.images, high.images) == (10, 50)


@pytest.mark.parametrize(
    ("confidences", "floor"),
    [
        ([0.5], 0.5),  # right or wrong, the gap is 1/2
        ([0.9], 2 * 0.9 * 0.1),  # right in 9 of 10 cases, with the gap 0.1, otherwise 0.9
        ([0.5] * 2, 1 / 4),  # both, one or none right, 1 : 2 : 1, with the gaps 1/2, 0, 1/2
        ([0.5] * 4, 3 / 16),  # 0 to 4 right, 1 : 4 : 6 : 4 : 1, with the gaps 1/2, 1/4, 0, 1/4, 1/2
        ([1.0] * 40, 0),
    ],
)
def test_calibration_floor_by_hand(confidences: list[float], floor: float) -> None:
    assert calibration_floor(two_classes(*confidences)) == pytest.approx(floor, rel=0.1)  # three standard errors


def drawn_probabilities(images: int, classes: int) -> np.ndarray:
    return softmax(2 * np.random.default_rng(3).standard_normal((images, classes)))


def drawn_errors(probabilities: np.ndarray, draws: int) -> np.ndarray:
    """Return the calibration errors for labels that are drawn, one by one, from all classes."""
    generator, classes = np.random.default_rng(7), np.arange(probabilities.shape[1])
    return np.array(
        [
            calibration_error(
                reliability(probabilities, np.array([generator.choice(classes, p=row) for row in probabilities]))
            )
            for _ in range(draws)
        ]
    )


@pytest.mark.parametrize(("images", "classes"), [(20, 3), (50, 2), (240, 12)])
def test_calibration_floor_is_the_mean_over_labels_drawn_from_the_probabilities(images: int, classes: int) -> None:
    """So a perfectly calibrated model shows about the floor, and hardly ever three times as much."""
    probabilities = drawn_probabilities(images, classes)
    errors = drawn_errors(probabilities, 100)
    floor = calibration_floor(probabilities)
    assert floor == pytest.approx(errors.mean(), abs=3 * errors.std() / math.sqrt(100))
    assert 0.2 < (errors > floor).mean() < 0.8
    assert (errors > 3 * floor).mean() < 0.05


@pytest.mark.parametrize("images", [240, 1000])
def test_calibration_floor_and_the_exact_distribution_of_correct_images(images: int) -> None:
    """The number of correct images in a bin is a sum of independent 0s and 1s: convolve their distributions."""
    probabilities = drawn_probabilities(images, 5)
    confidence, exact = probabilities.max(axis=1), 0.0
    for bin in reliability(probabilities, np.zeros(images, int)):
        own = confidence[(bin.lower <= confidence) & (confidence <= bin.upper)]
        distribution = np.ones(1)
        for share in own:
            distribution = np.convolve(distribution, [1 - share, share])
        exact += float(distribution @ np.abs(np.arange(len(own) + 1) - own.sum())) / images
    assert calibration_floor(probabilities) == pytest.approx(exact, rel=0.02)


def test_calibration_floor_is_the_same_in_any_order() -> None:
    probabilities, generator = drawn_probabilities(100, 4), np.random.default_rng(0)
    floor = calibration_floor(probabilities)
    assert calibration_floor(probabilities) == floor
    assert calibration_floor(generator.permutation(probabilities)) == floor
    assert calibration_floor(generator.permutation(probabilities, axis=1)) == floor


def test_calibration_floor_of_equal_confidences_is_that_of_one_bin() -> None:
    """The standard deviation of 60 images at 0.9 is √(0.09 / 60); the mean of |x| is √(2 / π) of it."""
    expected = math.sqrt(2 / math.pi) * math.sqrt(0.9 * 0.1 / 60)
    assert calibration_floor(two_classes(*[0.9] * 60)) == pytest.approx(expected, rel=0.06)


def test_log_loss_by_hand() -> None:
    """Probabilities of the true classes 1/10 and 1/2; with the temperature 2, 1/4 and 1/2."""
    logits = np.log(np.float32([[1, 9], [4, 4]])) + 500
    assert log_loss(logits, np.array([0, 1])) == pytest.approx(math.log(20) / 2, rel=1e-4)
    assert log_loss(logits, np.array([0, 1]), 2) == pytest.approx(math.log(8) / 2, rel=1e-4)
    assert log_loss(np.float32([[1e30, 0]]), np.array([0])) == 0


def test_log_losses_by_hand() -> None:
    """One per image, in their order; a temperature of 2 takes the square root of the odds of 9."""
    logits = np.log(np.float32([[1, 9], [4, 4], [9, 1]])) + 500
    labels = np.array([0, 1, 0])
    assert log_losses(logits, labels) == pytest.approx(np.log([10, 2, 10 / 9]), rel=1e-4)
    assert log_losses(logits, labels, 2) == pytest.approx(np.log([4, 2, 4 / 3]), rel=1e-4)
    assert log_losses(np.float32([[1e30, 0], [0, 1e30]]), np.array([0, 0])).tolist() == [0, pytest.approx(1e30)]


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


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_as_published(right: int, images: int, low: float, high: float) -> None:
    """Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3."""
    assert wilson_interval(right, images) == pytest.approx((low, high), abs=5e-5)


def test_wilson_interval_of_all_and_of_none() -> None:
    """With z = 1.96, none of n ends at z² / (n + z²): 3.84 / 63.84 of 60."""
    assert wilson_interval(60, 60) == (pytest.approx(1 - 0.06017, abs=1e-5), 1)
    assert wilson_interval(0, 60) == (0, pytest.approx(0.06017, abs=1e-5))
    assert wilson_interval(1, 2, level=0.5) == pytest.approx((0.5 - 0.21524, 0.5 + 0.21524), abs=1e-5)


def test_a_temperature_only_where_it_helps_beyond_noise() -> None:
    """Labels drawn from the probabilities themselves: 1. The same logits four times as large: about 4."""
    random = np.random.default_rng(5)
    logits = random.standard_normal((600, 3)) * 1.5
    labels = (softmax(logits).cumsum(axis=1) < random.random((600, 1))).sum(axis=1)
    assert fit_temperature(logits, labels) != 1, "some temperature is a little better on these images"
    assert proven_temperature(logits, labels) == 1
    found = proven_temperature(4 * logits, labels)
    assert found == fit_temperature(4 * logits, labels) == pytest.approx(4, rel=0.2)
    assert proven_temperature(logits / 4, labels) == pytest.approx(1 / 4, rel=0.2)


@pytest.mark.parametrize(("wrong", "helps"), [(30, True), (1, False)])
def test_noise_is_two_standard_errors(wrong: int, helps: bool) -> None:
    """All of 100 images have the odds e³ for class 0: 30 of class 1 speak for a temperature, one alone does not.

    The fitted odds are those of the counts, so there are two gains: of all right images, and of all wrong ones.
    """
    logits = np.tile([3.0, 0.0], (100, 1))
    labels = np.array([1] * wrong + [0] * (100 - wrong))
    fitted = fit_temperature(logits, labels)
    assert 3 / fitted == pytest.approx(np.log((100 - wrong) / wrong), abs=1e-6)
    share = wrong / 100
    right = np.log1p(np.exp(-3)) + np.log(1 - share)  # loss before less loss after
    other = 3 + np.log1p(np.exp(-3)) + np.log(share)
    mean = (1 - share) * right + share * other
    deviation = np.sqrt(share * (1 - share)) * abs(other - right)
    assert (mean > 2 * deviation / 10) == helps, "by hand"
    assert proven_temperature(logits, labels) == (fitted if helps else 1)
