"""Weights files mapped into memory: arrays are views of the file, and its pages are given back once they are used."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.errors import WeightsError

PIECE = 16 << 20  # bytes handled at once where a tensor must be copied or converted


def map_file(path: Path) -> mmap.mmap:
    """Return the file's content mapped into memory, read-only; arrays that are views of it keep it open.

    Raises WeightsError for a file that is missing, empty, not a regular file or cannot be read.
    """
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path.name}: expected a weights file, but it is not a regular file; pass a file")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # mmap's error for an empty file
        raise WeightsError(f"{path.name}: expected a weights file, but it is empty; get a new copy") from None
    except OSError as error:
        raise WeightsError(f"{path.name}: cannot be read ({error.strerror}); check the path {path}") from None


def release(view: NDArray[Any] | memoryview) -> None:
    """Give back the memory of the mapped file that `view` belongs to, if any; pages used again are read again."""
    owner: Any = view
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        owner.madvise(mmap.MADV_DONTNEED)


def pieces(tensor: NDArray[Any]) -> Iterator[memoryview]:
    """Yield the tensor's bytes in C order, little-endian, a few rows at a time.

    A view of a mapped file is never in memory as a whole: its pages are given back after every piece.
    """
    little = tensor.dtype.newbyteorder("<")
    rows = np.atleast_1d(tensor)
    step = max(1, PIECE // max(1, tensor.nbytes // max(1, len(rows))))
    for start in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[start : start + step], dtype=little)
        yield piece.reshape(-1).view(np.uint8).data
        release(tensor)
