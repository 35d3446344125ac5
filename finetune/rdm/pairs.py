"""One number for each pair of stimuli, in the order (0, 1), (0, 2), …, (1, 2), …, in a file that is read in pieces."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 20  # pairs


@dataclass(frozen=True)
class Pairs:
    """`count` numbers in a file, from the byte `offset` on."""

    file: BinaryIO
    offset: int
    count: int
    dtype: type[np.float64] | type[np.uint32] = np.float64

    def __len__(self) -> int:
        return self.count

    def read(self, places: slice) -> NDArray[Any]:
        """Return some of the numbers."""
        numbers = np.empty(places.stop - places.start, self.dtype)
        self._seek(places)
        self.file.readinto(numbers.data)  # type: ignore[attr-defined]
        return numbers

    def write(self, places: slice, numbers: NDArray[Any]) -> None:
        """Replace some of the numbers."""
        self._seek(places)
        self.file.write(np.ascontiguousarray(numbers, self.dtype).data)

    def write_tile(self, stimuli: int, rows: slice, columns: slice, tile: NDArray[np.float64]) -> None:
        """Write what a tile of the matrix (stimuli, stimuli) has above its diagonal; rows come before columns."""
        for row, numbers in zip(range(rows.start, rows.stop), tile, strict=True):
            first = max(columns.start, row + 1)
            if first < columns.stop:
                place = pair_count(stimuli) - pair_count(stimuli - row) + first - row - 1
                self.write(slice(place, place + columns.stop - first), numbers[first - columns.start :])

    def _seek(self, places: slice) -> None:
        self.file.seek(self.offset + places.start * np.dtype(self.dtype).itemsize)


def consecutive(pairs: Pairs, number: int) -> list[Pairs]:
    """Return `number` times as many numbers as `pairs` has, one after the other, the first in its place."""
    size = pairs.count * np.dtype(pairs.dtype).itemsize
    return [Pairs(pairs.file, pairs.offset + size * place, pairs.count, pairs.dtype) for place in range(number)]


def pair_count(stimuli: int) -> int:
    """Return how many pairs there are."""
    return stimuli * (stimuli - 1) // 2


def pieces_of(pairs: int) -> Iterator[slice]:
    """Yield slices of at most PIECE pairs that cover all."""
    return (slice(start, min(start + PIECE, pairs)) for start in range(0, pairs, PIECE))
