"""`--skip auto`: how many of the last layers start fresh, by cross-validation on the training images."""

from collections.abc import Iterator, Sequence
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from finetune.config import AUTO
from finetune.data.dataset import Dataset
from finetune.errors import FinetuneError, UsageError
from finetune.networks.layers import BatchNorm, Dense, Dropout
from finetune.networks.network import Network
from finetune.system.quiet import import_tensorflow
from finetune.training.plan import Cut, Plan

Doubles = NDArray[np.float64]

MOST_IMAGES = 2000  # to compare with: time grows with their cube, memory with their square
STRENGTHS = (1e-4, 1e-3, 1e-2)  # of the ridge, as shares of the kernel's trace; each cut takes its best
DOUBT = 2  # standard errors that fewer layers may be worse by: with 1, ants and bees got fc6, 1.5 points below fc7
SMALLEST = 1e-30  # in place of a length or a trace of 0


def compare_cuts(plan: Plan, dataset: Dataset) -> tuple[Cut, ...]:
    """Return how well each choice of fresh layers does on the training images, with one of them chosen.

    `plan` skips the last layer only. Raises UsageError for a network without a choice, DataError when too few images
    can be read, and FinetuneError when the weights give features that are not finite.
    """
    skips = skips_of(plan.network)
    import_tensorflow()  # only now, so that all errors before it come at once
    from finetune.training.cut_features import cut_features

    by_digest = {record.digest: record for record in dataset.records if record.split == "train"}  # no copies
    records = [by_digest[digest] for digest in sorted(by_digest)[:MOST_IMAGES]]  # by digest: random, yet repeatable
    features, unreadable = cut_features(plan, skips, records)
    dataset.without(unreadable)  # raises now when too few are left
    labels = np.array([record.label for record in records if record.path not in unreadable])
    errors, correct = [], []
    for skip, rows in zip(skips, features, strict=True):
        if not np.isfinite(rows).all():
            raise FinetuneError(f"the features before {skip[0]} are not all finite; check the weights, or name --skip")
        similar = kernel(rows, _hidden(plan.network, skip))
        error, hit = cross_validate(similar, labels, len(dataset.class_names))
        errors.append(error)
        correct.append(hit)
    chosen = choose(errors)
    return tuple(
        Cut(skip, float(hit.mean()), _standard_error(hit), float(error.mean()), number == chosen)
        for number, (skip, error, hit) in enumerate(zip(skips, errors, correct, strict=True))
    )


def skips_of(network: Network) -> list[tuple[str, ...]]:
    """Return the choices, few layers first: all layers from one of the fully connected ones at the end on.

    Raises UsageError when there is nothing to choose from.
    """
    names = network.weighted_layers()
    skips = [names[names.index(layer.name) :] for layer in _last_layers(network) if isinstance(layer, Dense)]
    if len(skips) < 2:
        raise UsageError(
            f"--skip {AUTO} chooses among the fully connected layers at the end, two or more; "
            f"{network.name} has {len(skips)}: name the layers with --skip"
        )
    return [tuple(skip) for skip in skips]


def kernel(rows: NDArray[np.float32], hidden: int) -> Doubles:
    """Return how similar each two images are, (images, images), to a head with `hidden` fresh ReLU layers.

    It is the neural tangent kernel (Jacot, Gabriel and Hongler 2018) of wide layers with He's initialization: what
    gradient descent on such a head can distinguish, without a training. The expectations over ReLU are from Cho and
    Saul (2009), equation 6 for the degrees 0 and 1. Without fresh ReLU layers it is the inner product.
    """
    product = (rows @ rows.T).astype(np.float64)
    lengths = np.sqrt(np.diag(product))
    scale = np.outer(lengths, lengths)
    tangent = product
    for _ in range(hidden):
        angle = np.arccos(np.clip(product / np.maximum(scale, SMALLEST), -1, 1))
        product = scale * (np.sin(angle) + (pi - angle) * np.cos(angle)) / pi
        tangent = product + tangent * (pi - angle) / pi
    return tangent


def cross_validate(similar: Doubles, labels: NDArray[np.int64], classes: int) -> tuple[Doubles, NDArray[np.bool_]]:
    """Return each image's squared error over the classes, and whether it is correct, when predicted from all others.

    The prediction is kernel ridge regression on one-hot targets; leaving one image out has a closed form: its
    residual is (K + λ)⁻¹ Y over the diagonal of (K + λ)⁻¹ (Allen 1974). Of STRENGTHS the one with the least error.
    """
    targets = np.eye(classes)[labels]
    identity = np.eye(len(labels))
    results = []
    for strength in STRENGTHS:
        inverse = np.linalg.inv(similar + strength * max(np.trace(similar), SMALLEST) * identity)
        residuals = inverse @ targets / np.diag(inverse)[:, None]
        errors = np.sum(residuals**2, axis=1)
        results.append((errors, np.argmax(targets - residuals, axis=1) == labels))
    return min(results, key=lambda result: float(result[0].mean()))


def choose(errors: Sequence[Doubles]) -> int:
    """Return the number of the first whose mean error is at most DOUBT standard errors above the least.

    The standard error is that of the difference, image by image. Squared errors distinguish cuts with fewer
    images than accuracy does.
    """
    least = min(errors, key=lambda error: float(error.mean()))
    worse = [error - least for error in errors]
    return next(number for number, more in enumerate(worse) if np.mean(more) <= DOUBT * _standard_error(more))


def _standard_error(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.std(values)) / sqrt(len(values))


def _last_layers(network: Network) -> Iterator[Dense | Dropout | BatchNorm]:
    """Yield the layers after the last one whose output has height and width, from the end."""
    for layer in reversed(network.layers):
        if not isinstance(layer, Dense | Dropout | BatchNorm):
            return
        yield layer


def _hidden(network: Network, skip: tuple[str, ...]) -> int:
    """Return how many of the skipped layers are fully connected with ReLU."""
    return sum(isinstance(layer, Dense) and layer.relu for layer in network.layers if layer.name in skip)
