"""How good a classifier is and how far its probabilities can be believed. NumPy only; every formula has its source.

Shapes: `logits` and `probabilities` are (images, classes), `labels` and `predicted` (images,) integers, at least one
image each.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks", table 1
RESAMPLES = 1000  # Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0  # beyond these a few odd images speak, not the network
_HALVINGS = 50  # bring the bracket of the temperature's logarithm, 4.6 wide, below what a float64 tells apart


class ClassFigures(NamedTuple):
    """How one class fares: fractions, and as `support` the number of its images.

    What would be 0 / 0 is 0: the precision of a class that is never predicted, the recall of one without images.
    """

    precision: float
    recall: float
    f1: float
    support: int


class Bin(NamedTuple):
    """The images whose confidence lies in (lower, upper]: how many, their mean confidence, the share that is right.

    Confidence is the probability of the predicted class. Both fractions of a bin without images are 0.
    """

    lower: float
    upper: float
    images: int
    confidence: float
    accuracy: float


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: float
    high: float


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the probabilities of logits divided by `temperature`; rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def ranks(scores: Floats, labels: Integers) -> NDArray[np.int64]:
    """Return for each image how many classes come before the true one (images,): 0 is right, below 5 top-5 right.

    Among equal scores the class of the lower index comes first, as in `Classifier.predict`.
    """
    true = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    return np.count_nonzero((scores > true) | ((scores == true) & earlier), axis=1)


def confusion_matrix(labels: Integers, predicted: Integers, num_classes: int) -> NDArray[np.int64]:
    """Return the number of images by true class (rows) and predicted class (columns)."""
    cells = np.bincount(labels.astype(np.int64) * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def per_class(confusion: NDArray[np.int64]) -> tuple[ClassFigures, ...]:
    """Return the figures of every class: van Rijsbergen 1979, "Information Retrieval", chapter 7.

    precision = right / predicted, recall = right / support, F1 = 2 · right / (predicted + support).
    """
    right, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    fractions = zip(
        _divide(right, predicted), _divide(right, support), _divide(2 * right, predicted + support), strict=True
    )
    return tuple(
        ClassFigures(float(precision), float(recall), float(f1), int(count))
        for (precision, recall, f1), count in zip(fractions, support, strict=True)
    )


def reliability(probabilities: Floats, labels: Integers, bins: int = BINS) -> tuple[Bin, ...]:
    """Return the bins of a reliability diagram, of equal width from 0 to 1 (Guo et al. 2017, section 2)."""
    confidence, right = probabilities.max(axis=1), ranks(probabilities, labels) == 0
    edges = np.linspace(0, 1, bins + 1)
    place = np.digitize(confidence, edges[1:-1], right=True)
    counts = np.bincount(place, minlength=bins)
    confidences = _divide(np.bincount(place, weights=confidence, minlength=bins), counts)
    accuracies = _divide(np.bincount(place, weights=right, minlength=bins), counts)
    rows = zip(edges[:-1], edges[1:], counts, confidences, accuracies, strict=True)
    return tuple(Bin(float(low), float(high), int(n), float(mean), float(share)) for low, high, n, mean, share in rows)


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: Σ images / all · |accuracy - confidence| (Guo et al. 2017, eq. 3)."""
    total = sum(bin.images for bin in bins)
    return sum(bin.images / total * abs(bin.accuracy - bin.confidence) for bin in bins)


def fit_temperature(logits: Floats, labels: Integers) -> float:
    """Return the temperature whose softmax gives `labels` the least negative log-likelihood (Guo et al. 2017, 4.2).

    In b = 1 / temperature that loss, mean(log Σ exp(b · z) - b · z_true), is convex, so its slope, mean(Σ p · z -
    z_true), grows with b: where it changes sign is found by halving. It lies within LOWEST_ and HIGHEST_TEMPERATURE.
    When every image is right the loss falls without end as the temperature does: images that tell nothing about
    doubt, so the temperature is 1.
    """
    logits = logits.astype(np.float64)
    true = np.take_along_axis(logits, labels[:, None], axis=1)
    above = logits - true  # at least one class is above the true one wherever an image is wrong
    if above.max() <= 0:
        return 1.0
    low, high = math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        slope = (softmax(above, math.exp(middle)) * above).sum(axis=1).mean()
        low, high = (middle, high) if slope > 0 else (low, middle)  # b too large: the temperature must rise
    return math.exp((low + high) / 2)


def bootstrap_interval(
    values: Floats | NDArray[np.bool], resamples: int = RESAMPLES, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the percentile interval of the mean of `values` (images,) (Efron and Tibshirani 1993, section 13.3).

    Drawing n of n with replacement draws from the distinct values with their shares, so one multinomial a resample
    does it. Where all values are equal the interval has no width: nothing in them varies.
    """
    distinct, counts = np.unique(values, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=resamples)
    means = drawn @ distinct.astype(np.float64) / len(values)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotients, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator != 0)
