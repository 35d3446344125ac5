"""One number for each pair of stimuli, in the order (0, 1), (0, 2), …, (1, 2), …, in a file that is read in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 20  # pairs


@dataclass(frozen=True)
class Pairs:
    """The numbers in a row of a two-dimensional dataset, or of an array."""

    rows: Any
    row: int

    def __len__(self) -> int:
        return self.rows.shape[1]

    def read(self, places: slice) -> NDArray[Any]:
        """Return some of the numbers."""
        return self.rows[self.row, places]

    def write(self, places: slice, numbers: NDArray[Any]) -> None:
        """Replace some of the numbers."""
        self.rows[self.row, places] = numbers

    def write_tile(self, stimuli: int, rows: slice, columns: slice, tile: NDArray[np.float64]) -> None:
        """Write what a tile of the matrix (stimuli, stimuli) has above its diagonal; rows come before columns."""
        for row, numbers in zip(range(rows.start, rows.stop), tile, strict=True):
            first = max(columns.start, row + 1)
            if first < columns.stop:
                place = pair_count(stimuli) - pair_count(stimuli - row) + first - row - 1
                self.write(slice(place, place + columns.stop - first), numbers[first - columns.start :])


def pair_count(stimuli: int) -> int:
    """Return how many pairs there are."""
    return stimuli * (stimuli - 1) // 2


def pieces_of(pairs: int) -> Iterator[slice]:
    """Yield slices of at most PIECE pairs that cover all."""
    return (slice(start, min(start + PIECE, pairs)) for start in range(0, pairs, PIECE))
