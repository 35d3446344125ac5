"""How good a classifier is, and how well its probabilities are calibrated. NumPy only; every formula has its source.

Shapes: `logits` and `probabilities` are (images, classes), `labels` and `predicted` (images,) integers, with at least
one image.
"""

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

MOST_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks", table 1
BIN_IMAGES = 15  # at least; the accuracy of fewer images is mostly chance
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0  # beyond these, a few unusual images decide, not the network
FLOOR_DRAWS = 1000  # of labels: the mean has a standard error of 2.5 % of itself for one bin, 0.6 % for fifteen
NOISE = 2  # standard errors by which a temperature must lower the mean log loss
_HALVINGS = 50  # reduce the bracket of the temperature's logarithm, 4.6 wide, below the resolution of a float64


class ClassMetrics(NamedTuple):
    """The metrics of one class: fractions, and as `support` the number of its images.

    0 / 0 counts as 0: the precision of a class that is never predicted, the recall of a class without images.
    """

    precision: float
    recall: float
    f1: float
    support: int


class Bin(NamedTuple):
    """Images with similar confidence, from `lower` to `upper`: how many, their mean confidence, their accuracy.

    Confidence is the probability of the predicted class.
    """

    lower: float
    upper: float
    images: int
    confidence: float
    accuracy: float


class Interval(NamedTuple):
    """An interval from `low` to `high`."""

    low: float
    high: float


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probabilities of logits divided by `temperature`, float64; every row sums to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def ranks(scores: Floats, labels: Integers) -> NDArray[np.int64]:
    """Return for each image how many classes rank before the true one, (images,): 0 is correct, below 5 in the top 5.

    Among equal scores, the class with the lower index ranks first, as in `Classifier.predict`.
    """
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return np.count_nonzero((scores > true) | ((scores == true) & earlier), axis=1)


def confusion_matrix(labels: Integers, predicted: Integers, num_classes: int) -> NDArray[np.int64]:
    """Return the number of images by true class (rows) and predicted class (columns)."""
    cells = np.bincount(labels.astype(np.int64) * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def per_class(confusion: NDArray[np.int64]) -> tuple[ClassMetrics, ...]:
    """Return the metrics of every class: van Rijsbergen 1979, "Information Retrieval", chapter 7.

    precision = correct / predicted, recall = correct / support, F1 = 2 · correct / (predicted + support).
    """
    correct, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    fractions = zip(
        _divide(correct, predicted), _divide(correct, support), _divide(2 * correct, predicted + support), strict=True
    )
    return tuple(
        ClassMetrics(float(precision), float(recall), float(f1), int(count))
        for (precision, recall, f1), count in zip(fractions, support, strict=True)
    )


def reliability(probabilities: Floats, labels: Integers) -> tuple[Bin, ...]:
    """Return the bins of a reliability diagram, in order of confidence, with equal numbers of images.

    There are MOST_BINS of them, or fewer so that each has at least BIN_IMAGES, but always one. With few images, bins of
    equal width would have two or three each and measure chance (Nixon et al. 2019, "Measuring Calibration in Deep
    Learning"). Images of equal confidence share a bin, so their order does not matter.
    """
    confidence, correct = probabilities.max(axis=1), ranks(probabilities, labels) == 0
    place = _bin_numbers(confidence)
    bins = [place == number for number in np.unique(place)]
    return tuple(
        Bin(
            float(confidence[own].min()),
            float(confidence[own].max()),
            int(own.sum()),
            float(confidence[own].mean()),
            float(correct[own].mean()),
        )
        for own in bins
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: Σ images / all · |accuracy - confidence| (Guo et al. 2017, eq. 3).

    With bins of equal counts, this is the adaptive error of Nixon et al. 2019 for the predicted class.
    """
    total = sum(bin.images for bin in bins)
    return sum(bin.images / total * abs(bin.accuracy - bin.confidence) for bin in bins)


def calibration_floor(probabilities: Floats) -> float:
    """Return the expected calibration error that a perfectly calibrated model with these probabilities shows.

    It is not 0, because the accuracy of a bin of n images has a standard error, about √(accuracy · (1 - accuracy) / n).
    A parametric bootstrap, the consistency resampling of Bröcker and Smith 2007, "Increasing the Reliability of
    Reliability Diagrams", with the images as they are: the label of each is drawn from its own probabilities,
    FLOOR_DRAWS times, and the result is the mean of `calibration_error` over the draws. That error depends only on
    whether the label is the predicted class, whose probability is the confidence, so only this is drawn: the time does
    not grow with the classes, and 10,000 images take 0.1 s. The seed is fixed and the images are sorted, so the same
    probabilities give the same floor in any order.
    """
    confidence = np.sort(probabilities.max(axis=1))
    starts = np.flatnonzero(np.diff(_bin_numbers(confidence), prepend=-1))
    expected = np.add.reduceat(confidence, starts)
    generator = np.random.default_rng(0)
    gaps = 0.0
    for _ in range(FLOOR_DRAWS):  # one draw at a time: all at once would need 8 kB of memory for each image
        correct = (generator.random(len(confidence)) < confidence).astype(np.float64)
        gaps += float(np.abs(np.add.reduceat(correct, starts) - expected).sum())
    return gaps / FLOOR_DRAWS / len(confidence)


def fit_temperature(logits: Floats, labels: Integers) -> float:
    """Return the temperature that minimizes the negative log-likelihood of `labels` (Guo et al. 2017, section 4.2).

    As a function of b = 1 / temperature, that loss, mean(log Σ exp(b · z) - b · z_true), is convex, so its slope,
    mean(Σ p · z - z_true), increases with b, and bisection finds its zero. The result is between LOWEST_TEMPERATURE and
    HIGHEST_TEMPERATURE. If every image is correct, the loss decreases for ever as the temperature decreases; such
    images carry no information about calibration, so the temperature is then 1.
    """
    logits = logits.astype(np.float64)
    true = np.take_along_axis(logits, labels[:, None], axis=1)
    above = logits - true  # positive for a class that ranks above the true one: the image is wrong
    if above.max() <= 0:
        return 1.0
    low, high = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = (softmax(above, math.exp(middle)) * above).sum(axis=1).mean()
        low, high = (middle, high) if slope > 0 else (low, middle)  # b is too large: increase the temperature
    return math.exp((low + high) / 2)


def log_loss(logits: Floats, labels: Integers, temperature: float = 1.0) -> float:
    """Return the mean of `log_losses`."""
    return float(log_losses(logits, labels, temperature).mean())


def log_losses(logits: Floats, labels: Integers, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the negative log-likelihood of each label, in nats, of logits divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    true = np.take_along_axis(scaled, labels[:, None], axis=1)
    losses: NDArray[np.float64] = np.logaddexp.reduce(scaled - true, axis=1)
    return losses


def proven_temperature(logits: Floats, labels: Integers) -> float:
    """Return the temperature of `fit_temperature`, or 1 where it does not lower the log loss beyond noise."""
    temperature = fit_temperature(logits, labels)
    gain = log_losses(logits, labels) - log_losses(logits, labels, temperature)
    return temperature if gain.mean() > NOISE * gain.std() / math.sqrt(len(gain)) else 1.0


def wilson_interval(correct: int, images: int, level: float = 0.95) -> Interval:
    """Return the score interval of `correct` out of `images` (Wilson 1927, JASA 22, 209; Newcombe 1998, method 3).

    It has a width even if all or none are correct: for 60 of 60 it begins at 94 %.
    """
    squared = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = correct / images
    centre = share + squared / (2 * images)
    half = math.sqrt(squared * share * (1 - share) / images + (squared / (2 * images)) ** 2)
    low, high = ((centre + sign * half) / (1 + squared / images) for sign in (-1, 1))
    return Interval(low if correct else 0.0, high if correct < images else 1.0)  # without rounding errors


def _bin_numbers(confidence: Floats) -> NDArray[np.int64]:
    """Return the number of each image's bin in a reliability diagram; equal confidences leave gaps."""
    wanted = min(MOST_BINS, max(1, len(confidence) // BIN_IMAGES))
    cuts = np.arange(1, wanted) * len(confidence) // wanted
    return np.searchsorted(np.unique(np.sort(confidence)[cuts]), confidence, side="right")


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotients, with 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator != 0)
