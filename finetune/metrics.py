"""How good a classifier is and how far its probabilities can be believed. NumPy only; every formula has its source.

Shapes: `logits` and `probabilities` are (images, classes), `labels` and `predicted` (images,) integers, at least one
image each.
"""

import math
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]

MOST_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks", table 1
BIN_IMAGES = 15  # the least: the share that is right among fewer is hardly more than chance
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
    """Images of like confidence, the least `lower`, the greatest `upper`: how many, its mean, the share that is right.

    Confidence is the probability of the predicted class.
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


def reliability(probabilities: Floats, labels: Integers) -> tuple[Bin, ...]:
    """Return the bins of a reliability diagram, by rising confidence, each of as many images as any other.

    There are MOST_BINS, fewer where that would leave a bin less than BIN_IMAGES, one at least. Bins of equal width
    would hold two or three images each in a small set, and then measure chance (Nixon et al. 2019, "Measuring
    Calibration in Deep Learning"). Images of equal confidence share a bin, so their order does not matter.
    """
    confidence, right = probabilities.max(axis=1), ranks(probabilities, labels) == 0
    wanted = min(MOST_BINS, max(1, len(labels) // BIN_IMAGES))
    cuts = np.arange(1, wanted) * len(labels) // wanted
    place = np.searchsorted(np.unique(np.sort(confidence)[cuts]), confidence, side="right")
    bins = [place == number for number in np.unique(place)]
    return tuple(
        Bin(
            float(confidence[own].min()),
            float(confidence[own].max()),
            int(own.sum()),
            float(confidence[own].mean()),
            float(right[own].mean()),
        )
        for own in bins
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: Σ images / all · |accuracy - confidence| (Guo et al. 2017, eq. 3).

    Over bins of equal count it is the adaptive one of Nixon et al. 2019, of the predicted class.
    """
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


def log_loss(logits: Floats, labels: Integers, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the labels, in nats, of logits divided by `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    true = np.take_along_axis(scaled, labels[:, None], axis=1)
    return float(np.logaddexp.reduce(scaled - true, axis=1).mean())


def wilson_interval(right: int, images: int, level: float = 0.95) -> Interval:
    """Return the score interval of the share `right` of `images` (Wilson 1927, JASA 22, 209; Newcombe 1998, method 3).

    It has a width even where all are right or none is: of 60 of 60 it ends at 94 %.
    """
    squared = NormalDist().inv_cdf((1 + level) / 2) ** 2
    share = right / images
    centre = share + squared / (2 * images)
    half = math.sqrt(squared * share * (1 - share) / images + (squared / (2 * images)) ** 2)
    low, high = ((centre + side * half) / (1 + squared / images) for side in (-1, 1))
    return Interval(low if right else 0.0, high if right < images else 1.0)  # exactly so, but for rounding


def _divide(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotients, 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator != 0)
