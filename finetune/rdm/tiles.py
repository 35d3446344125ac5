"""Dissimilarities of all pairs of stimuli, tile by tile: memory depends neither on their number nor on the layer.

A tile holds those between up to STIMULI stimuli and as many others. It is summed up over UNITS units at a time, so that
at most `tile_bytes()` are in use: 218 MB. For 10,000 stimuli, each number of the file is read five times.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Dissimilarity
from finetune.rdm.activations import LayerMatrix

STIMULI, UNITS = 2048, 2048
ROWS = 32 << 20  # bytes of whole rows in memory at once, for their means
CONSTANT = 1e-12  # deviations below this share of the mean are rounding; those of float32 begin at 6e-8

Reals = NDArray[np.float64]


def tile_bytes() -> int:
    """Return how many bytes `tiles` uses at most: the tile before, sum and product, two parts, and one in float32."""
    return 8 * (4 * STIMULI * STIMULI + 2 * STIMULI * UNITS) + 4 * STIMULI * UNITS


class RowStatistics(NamedTuple):
    """Of each stimulus, over the units of a layer: the mean, and the sum of squared deviations from it; (stimuli,)."""

    means: Reals
    squares: Reals

    def of(self, stimuli: NDArray[np.intp]) -> "RowStatistics":
        """Return those of some stimuli."""
        return RowStatistics(self.means[stimuli], self.squares[stimuli])


class Tile(NamedTuple):
    """Dissimilarities between the stimuli in `rows` and in `columns`, and their squared Euclidean distances."""

    rows: slice
    columns: slice
    values: Reals
    squared_distances: Reals


def row_statistics(layer: LayerMatrix) -> RowStatistics:
    """Return the statistics of all stimuli; NaN for one with values that are not finite."""
    means, squares = np.empty(layer.stimuli), np.empty(layer.stimuli)
    step = max(1, ROWS // (8 * layer.units))
    for start in range(0, layer.stimuli, step):
        rows = np.arange(start, min(start + step, layer.stimuli))
        block = layer.read(rows, 0, layer.units)
        block[~np.isfinite(block).all(axis=1)] = np.nan
        means[rows] = block.mean(axis=1)
        block -= means[rows, np.newaxis]
        squares[rows] = np.einsum("su,su->s", block, block)
    return RowStatistics(means, squares)


def why_undefined(layer: LayerMatrix, statistics: RowStatistics, metric: Dissimilarity) -> dict[int, str]:
    """Return the stimuli, by number, that have no dissimilarity to others in a layer, each with the reason."""
    means, squares = statistics
    reasons = dict.fromkeys(np.flatnonzero(np.isnan(squares)), f"{layer.name} is not finite")
    if metric == "correlation":
        constant = squares <= layer.units * (CONSTANT * means) ** 2
        reasons |= dict.fromkeys(np.flatnonzero(constant), f"{layer.name} is the same in all units")
    elif metric == "cosine":
        reasons |= dict.fromkeys(np.flatnonzero((squares == 0) & (means == 0)), f"{layer.name} is 0 in all units")
    return {int(number): reason for number, reason in reasons.items()}


def tile_places(count: int) -> list[tuple[slice, slice]]:
    """Return rows and columns of the tiles that cover the upper half of a matrix (count, count)."""
    edges = [slice(start, min(start + STIMULI, count)) for start in range(0, count, STIMULI)]
    return [(rows, columns) for number, rows in enumerate(edges) for columns in edges[number:]]


def tiles(
    layer: LayerMatrix, statistics: RowStatistics, stimuli: NDArray[np.intp], metric: Dissimilarity
) -> Iterator[Tile]:
    """Yield the tiles of the upper half, in rows, for some stimuli, given by number; `statistics` are those of all.

    correlation: 1 - Pearson's. euclidean: the squared distance divided by the number of units, as in rsatoolbox.
    cosine: 1 - the cosine of the angle between the two.
    """
    units = layer.units
    of_stimuli = statistics.of(stimuli)
    for rows, columns in tile_places(len(stimuli)):
        products = _products(layer, of_stimuli.means, stimuli, rows, columns)
        means, squares = ((part[rows, np.newaxis], part[columns]) for part in of_stimuli)
        distances = -2 * products
        distances += squares[0]
        distances += squares[1]
        distances += units * (means[0] - means[1]) ** 2
        np.maximum(distances, 0, out=distances)  # rounding can make those of equal stimuli negative
        match metric:
            case "correlation":
                products /= np.sqrt(squares[0])
                products /= np.sqrt(squares[1])
                values = np.subtract(1, products, out=products)
            case "cosine":
                products += units * means[0] * means[1]
                products /= np.sqrt(squares[0] + units * means[0] ** 2)
                products /= np.sqrt(squares[1] + units * means[1] ** 2)
                values = np.subtract(1, products, out=products)
            case "euclidean":
                values = np.divide(distances, units, out=products)
        yield Tile(rows, columns, values, distances)


def _products(layer: LayerMatrix, means: Reals, stimuli: NDArray[np.intp], rows: slice, columns: slice) -> Reals:
    """Return the products of the deviations of two groups of stimuli from their own means, summed over all units."""
    products = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
    for start in range(0, layer.units, UNITS):
        stop = min(start + UNITS, layer.units)
        left = layer.read(stimuli[rows], start, stop)
        left -= means[rows, np.newaxis]
        right = left
        if columns != rows:
            right = layer.read(stimuli[columns], start, stop)
            right -= means[columns, np.newaxis]
        products += left @ right.T
        del left, right
    return products
