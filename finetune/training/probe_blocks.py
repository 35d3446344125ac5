"""The fit of a linear probe to more rows than fit in memory: block by block, with SciPy's L-BFGS.

The same minimum as in `probe_fit.py`. scikit-learn needs all rows in memory, and reads them twice in each step. Here
they are in a temporary file as float32, which the system keeps in memory as far as that is free. Rows that would take
more than COPY_BYTES there are read where they are, in half as many bytes, since in each step they come from the disk.
"""

import tempfile
from collections.abc import Callable
from itertools import pairwise
from math import isfinite, sqrt
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.errors import FinetuneError
from finetune.system.parallel import parallel_map

Float64s = NDArray[np.float64]

TOLERANCE = 1e-7  # largest slope of the mean loss per row where a fit ends: probabilities are then within 1e-3
CHOICE_TOLERANCE = 1e-5  # the same where strengths are tried: log losses are then right to about three digits
BLOCK_TOLERANCE = 1e-6  # the same where rows are float32
MOST_STEPS = 10_000  # of L-BFGS; features of photos take 20 to 200
BLOCK_ROWS = 256  # 9 MB of 9,216 values
COPY_BYTES = 4 << 30  # of all rows as float32: of pool5, those of 58,000 images and their mirror images
PARTS = 8  # that are summed next to each other: a fixed number, so that the bits do not depend on the processors


ReadRows = Callable[[NDArray[np.int64]], NDArray[Any]]  # numbers -> rows, (numbers, values)
ReadBlock = Callable[[slice], NDArray[np.float32]]


class _Sums(NamedTuple):
    """Of some rows: the loss, its gradient by the logits' kernel, (values, classes), and by the bias, (classes,)."""

    loss: float
    kernel: Float64s
    bias: Float64s


def scale_of(squares: float, rows: int) -> float:
    """Return the root mean square length of centred rows from the sum of their squares; 1 where all rows are equal.

    Raises FinetuneError when a feature is not finite.
    """
    if not isfinite(squares):
        raise FinetuneError("expected finite features, but some are not a number or infinite; check the weights")
    return sqrt(squares / rows) or 1.0


def fit_in_blocks(
    read: ReadRows,
    labels: NDArray[np.int64],
    strength: float,
    tolerance: float = BLOCK_TOLERANCE,
) -> tuple[Float64s, Float64s]:
    """Return kernel and bias for rows that `read(numbers)` reads, numbers from 0 to those of `labels`.

    Features are multiplied as float32 and summed as float64. Raises FinetuneError when a feature is not finite.
    """
    from scipy.optimize import minimize

    classes = int(labels.max()) + 1
    penalty = strength * (2 if classes == 2 else 1)  # w² of (-w/2, w/2) is twice the sum of their squares
    with tempfile.TemporaryFile(prefix="finetune-") as file:
        blocks = _Blocks(_block_reader(read, len(labels), file), labels)
        mean, scale = blocks.mean_and_scale()

        def unscaled(flat: Float64s) -> tuple[Float64s, Float64s]:
            inner = flat.reshape(-1, classes)
            kernel = inner[:-1] / scale
            return kernel, inner[-1] - mean @ kernel

        def objective(flat: Float64s) -> tuple[float, Float64s]:
            sums = blocks.sums(*unscaled(flat))
            inner = flat.reshape(-1, classes)[:-1]
            slope = (sums.kernel - np.outer(mean, sums.bias)) / scale + penalty * inner
            loss = sums.loss + penalty / 2 * float(np.vdot(inner, inner))
            return loss / len(labels), np.vstack([slope, sums.bias]).ravel() / len(labels)

        # Where rounding errors of float32 keep the slope above the tolerance, the line search ends the fit
        options = {"gtol": tolerance, "ftol": 0, "maxiter": MOST_STEPS, "maxfun": 2 * MOST_STEPS, "maxls": 50}
        start = np.zeros((len(mean) + 1) * classes)
        return unscaled(minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x)


def _block_reader(read: ReadRows, count: int, file: IO[bytes]) -> ReadBlock:
    """Return a function that reads consecutive rows: from `file`, if a copy is within COPY_BYTES, or by `read`."""
    if count * read(np.arange(1)).size * 4 > COPY_BYTES:
        return lambda block: read(np.arange(block.start, block.stop)).astype("<f4", copy=False)
    return _written(read, count, file).__getitem__


def _written(read: ReadRows, count: int, file: IO[bytes]) -> NDArray[np.float32]:
    """Return all rows, (rows, values), mapped from the file that they are written to."""
    for numbers in np.split(np.arange(count), range(BLOCK_ROWS, count, BLOCK_ROWS)):
        rows = read(numbers).astype("<f4")
        file.write(rows.data)
    file.flush()
    return np.memmap(file, "<f4", "r", shape=(count, rows.shape[1]))


class _Blocks:
    """Sums over all rows, in PARTS that are computed next to each other."""

    def __init__(self, read: ReadBlock, labels: NDArray[np.int64]) -> None:
        self._read = read
        self._values = read(slice(0, 1)).shape[1]
        self._labels = labels
        bounds = np.linspace(0, len(labels), PARTS + 1).astype(int).tolist()
        self._parts = [
            [slice(start, min(start + BLOCK_ROWS, end)) for start in range(first, end, BLOCK_ROWS)]
            for first, end in pairwise(bounds)
        ]

    def mean_and_scale(self) -> tuple[Float64s, float]:
        """Return the mean row, and the root mean square length of rows without it."""
        count = len(self._labels)
        mean: Float64s = np.sum(list(parallel_map(self._part_total, self._parts)), axis=0) / count
        squares = sum(parallel_map(lambda part: self._part_squares(part, mean), self._parts))
        return mean, scale_of(squares, count)

    def sums(self, kernel: Float64s, bias: Float64s) -> _Sums:
        """Return the loss of all rows and its gradient."""
        kernel32 = kernel.astype(np.float32)
        found = parallel_map(lambda part: self._part_sums(part, kernel32, bias), self._parts)
        losses, slopes, bias_slopes = zip(*found, strict=True)
        return _Sums(sum(losses), np.sum(slopes, axis=0), np.sum(bias_slopes, axis=0))

    @np.errstate(invalid="ignore")  # infinite features are reported by `scale_of`
    def _part_total(self, part: list[slice]) -> Float64s:
        total: Float64s = np.zeros(self._values)
        for block in part:
            total += self._read(block).sum(axis=0, dtype=np.float64)
        return total

    @np.errstate(invalid="ignore")  # infinite features are reported by `scale_of`
    def _part_squares(self, part: list[slice], mean: Float64s) -> float:
        return sum(float(np.square(self._read(block) - mean).sum()) for block in part)

    def _part_sums(self, part: list[slice], kernel: NDArray[np.float32], bias: Float64s) -> _Sums:
        loss, slope, bias_slope = 0.0, np.zeros(kernel.shape), np.zeros(len(bias))
        for block in part:
            rows, labels = self._read(block), self._labels[block]
            logits = rows @ kernel + bias
            logits -= logits.max(axis=1, keepdims=True)
            powers = np.exp(logits)
            totals = powers.sum(axis=1, keepdims=True)
            images = np.arange(len(labels))
            loss += float((np.log(totals[:, 0]) - logits[images, labels]).sum())
            residuals = powers / totals
            residuals[images, labels] -= 1
            slope += rows.T @ residuals.astype(np.float32)
            bias_slope += residuals.sum(axis=0)
        return _Sums(loss, slope, bias_slope)
