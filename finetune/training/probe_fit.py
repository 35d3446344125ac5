"""The arithmetic of a linear probe: multinomial logistic regression on the features of one layer.

Rows are (images × views, values), the views of an image next to each other: view 0 is the image, others are only
trained on. The fit of a strength λ is the minimum of

    Σ over rows of the log loss + λ/2 · s² · Σ kernel²        s² = Σ over rows of |row - mean row|² / rows

With the scale s, rows have length 1 in the root mean square, so the same strengths fit every layer and network. The
bias is not penalised. It is scikit-learn's `LogisticRegression(C=1 / (λ · s²))`, and with two classes that has one
vector w in place of a kernel: the kernel here is then (-w/2, w/2), and w² is penalised.

The minimum is unique and nothing is random. All sums are in order of the images' keys, and BLAS runs in one thread
while folds run next to each other, so any order of images and any number of threads give the same bits; another
processor, NumPy, SciPy or scikit-learn may give others.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import sqrt
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.metrics import log_loss
from finetune.system.parallel import parallel_map
from finetune.training.probe_blocks import (
    BLOCK_TOLERANCE,
    CHOICE_TOLERANCE,
    MOST_STEPS,
    TOLERANCE,
    Float64s,
    fit_in_blocks,
    scale_of,
)
from finetune.training.probe_folds import ALWAYS_TRAINED, FoldNumbers, Labels, key_order

ProbeArray = NDArray[np.float32]

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # strong to weak: each fit begins at the one before
MOST_ROWS = 5000  # that are held in memory, as float64; more are in a temporary file
SMALLEST = 1e-10  # squared length, of 1, of what a row adds to the span of others: below it, rounding errors


class RowSource(Protocol):
    """An array, or something that reads rows from disk: `rows[indices]` is (indices, …) of any float type."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: NDArray[np.int64], /) -> NDArray[Any]: ...


@dataclass(frozen=True)
class TriedStrength:
    """How a probe with one strength does on images that it has not seen, each held out once.

    `logits`: (images, classes) of view 0, in the order of the images given; not a number for an image that is always
    trained on, which counts in nothing here. `log_loss` in nats, `accuracy` and its `standard_error` as fractions.
    """

    strength: float
    logits: Float64s
    log_loss: float
    accuracy: float
    standard_error: float


class _Rows(NamedTuple):
    """All rows in order of their images' keys: their numbers in the source, their images and views."""

    numbers: NDArray[np.int64]
    images: NDArray[np.int64]
    views: NDArray[np.int64]


def cross_validate(
    rows: RowSource,
    labels: Labels,
    folds: FoldNumbers,
    keys: Sequence[str],
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[TriedStrength, ...]:
    """Return how the strengths do, in the order given, from strong to weak, which is the fastest.

    The last is the second in a row that did worse than the one before it: weaker ones overfit, and take the longest.
    `folds` are those of `make_folds`. Each image is classified from its view 0, by the fit on all views of the images
    of all other folds. What all folds share changes no fit, so nothing of the image leaks through it: the mean row (the
    bias takes it up), the scale (another one means other strengths, the same for all folds) and the rotation.
    Raises FinetuneError when a feature is not finite.
    """
    order = key_order(keys, labels, folds)
    every = _in_order(order, len(rows) // len(labels))
    row_labels, row_folds = labels[every.images], folds[every.images]
    numbers = [number for number in np.unique(folds[order]) if number != ALWAYS_TRAINED]
    seen = order[folds[order] != ALWAYS_TRAINED]
    with one_thread():
        span = _Span(_Scaled(_flat(rows, every.numbers)).rows)

        def fits(number: int) -> Iterator[Float64s]:
            trained, tested = row_folds != number, (row_folds == number) & (every.views == 0)
            for kernel, bias in _fits(span.rows[trained], row_labels[trained], strengths, CHOICE_TOLERANCE):
                yield span.rows[tested] @ kernel + bias

        fits_of_folds = [fits(number) for number in numbers]
        results: list[TriedStrength] = []
        for strength in strengths:
            logits = np.full((len(labels), int(labels.max()) + 1), np.nan)
            for number, found in zip(numbers, parallel_map(next, fits_of_folds), strict=True):
                logits[order[folds[order] == number]] = found
            results.append(_tried(strength, logits, labels, seen))
            if _overfits([one.log_loss for one in results]):
                break
    return tuple(results)


def _overfits(log_losses: Sequence[float]) -> bool:
    return len(log_losses) > 2 and log_losses[-3] < log_losses[-2] < log_losses[-1]


def best_strength(tried: Sequence[TriedStrength]) -> TriedStrength:
    """Return the one with the lowest log loss; of equal ones the first."""
    return min(tried, key=lambda one: one.log_loss)


def choose_layer(results: Mapping[str, Sequence[TriedStrength]]) -> str:
    """Return the name of the layer whose best strength has the lowest log loss; of equal ones the first."""
    return min(results, key=lambda layer: best_strength(results[layer]).log_loss)


def fit(
    rows: RowSource, labels: Labels, keys: Sequence[str], strength: float, tolerance: float = TOLERANCE
) -> tuple[ProbeArray, ProbeArray]:
    """Return kernel (values, classes) and bias (classes,) for the features as they are, fitted on all rows.

    `tolerance`: CHOICE_TOLERANCE where the fit is only measured. Up to MOST_ROWS rows are held in memory as float64,
    twice; of more, none: they are copied to a file.
    Raises FinetuneError when a feature is not finite.
    """
    every = _in_order(key_order(keys, labels), len(rows) // len(labels))
    row_labels = labels[every.images]
    with one_thread():
        if len(rows) > MOST_ROWS:
            in_order = lambda some: _flat(rows, every.numbers[some])  # noqa: E731 (too long for the line below)
            kernel, bias = fit_in_blocks(in_order, row_labels, strength, max(tolerance, BLOCK_TOLERANCE))
        else:
            scaled = _Scaled(_flat(rows, every.numbers))
            span = _Span(scaled.rows)
            ((inner, bias),) = _fits(span.rows, row_labels, [strength], tolerance)
            kernel = span.original(inner) / scaled.scale
            bias = bias - scaled.mean @ kernel
    return kernel.astype(np.float32), bias.astype(np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS compute in one thread: with more, sums have other bits."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


class _Scaled:
    """Rows (rows, values) without their mean, and of length 1 in the root mean square."""

    @np.errstate(invalid="ignore")  # infinite features are reported by `scale_of`
    def __init__(self, rows: NDArray[Any]) -> None:
        self.rows = rows.astype(np.float64)
        self.mean: Float64s = self.rows.mean(axis=0)
        self.rows -= self.mean
        self.scale = scale_of(float(np.vdot(self.rows, self.rows)), len(rows))
        self.rows /= self.scale


class _Span:
    """The same rows in fewer values where values outnumber rows: in an orthonormal basis of their span.

    All inner products stay the same, and the kernel of a fit with L2 is in the span, so the fit is the same too. With
    the Gram matrix L·Lᵀ (Cholesky, with pivots, up to the rank), the rows of L are the rows in the basis Xᵀ·L⁻ᵀ, X
    being the pivots' rows. An eigendecomposition gives as good a basis and takes thirty times as long.
    """

    def __init__(self, rows: Float64s) -> None:
        self.rows = rows
        self._basis: tuple[Float64s, Float64s] | None = None
        if rows.shape[0] < rows.shape[1]:
            from scipy.linalg.lapack import dpstrf

            factor, pivots, rank, _ = dpstrf(rows @ rows.T, lower=1, tol=SMALLEST)
            factor = np.tril(factor)[:, :rank]
            self.rows = np.empty_like(factor)
            self.rows[pivots - 1] = factor
            self._basis = rows[pivots[:rank] - 1], factor[:rank]

    def original(self, kernel: Float64s) -> Float64s:
        """Return a kernel for the rows as they were."""
        if not self._basis:
            return kernel
        from scipy.linalg import solve_triangular

        rows, factor = self._basis
        inner: Float64s = solve_triangular(factor, kernel, trans="T", lower=True)
        return rows.T @ inner


def _fits(
    rows: Float64s, labels: Labels, strengths: Sequence[float], tolerance: float
) -> Iterator[tuple[Float64s, Float64s]]:
    """Yield kernel and bias for each strength; each fit begins where the one before ended."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(tol=tolerance, max_iter=MOST_STEPS, warm_start=True)
    for strength in strengths:
        model.C = 1 / strength
        model.fit(rows, labels)
        kernel, bias = model.coef_.T, model.intercept_
        if kernel.shape[1] == 1:  # two classes
            kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
        yield kernel.copy(), bias.copy()


def _tried(strength: float, logits: Float64s, labels: Labels, seen: NDArray[np.int64]) -> TriedStrength:
    """Return the metrics of the images `seen`, those with logits."""
    hits = logits[seen].argmax(axis=1) == labels[seen]
    accuracy = float(hits.mean())
    error = sqrt(accuracy * (1 - accuracy) / len(seen))
    return TriedStrength(strength, logits, log_loss(logits[seen], labels[seen]), accuracy, error)


def _in_order(images: NDArray[np.int64], views: int) -> _Rows:
    numbers = images[:, None] * views + np.arange(views)
    return _Rows(numbers.ravel(), np.repeat(images, views), np.tile(np.arange(views), len(images)))


def _flat(rows: RowSource, numbers: NDArray[np.int64]) -> NDArray[Any]:
    return rows[numbers].reshape(len(numbers), -1)
