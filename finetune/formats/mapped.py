"""Weights files on disk: read as views of the mapped file, written all or nothing."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.weights_file import Array
from finetune.system import atomic

PIECE = 16 << 20  # bytes handled at once where a tensor must be copied or converted


def map_file(path: Path) -> mmap.mmap:
    """Return the file's content mapped into memory, read-only; arrays that are views of it keep it open."""
    try:
        if path.exists() and not path.is_file():
            raise WeightsError(f"{path.name}: expected a weights file, but this is no regular file; give a file")
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # what mmap says of an empty file
        raise WeightsError(f"{path.name}: expected a weights file, but the file is empty; get it again") from None
    except OSError as error:
        raise WeightsError(f"{path.name}: cannot be read ({error.strerror}); check the path {path}") from None


def release(view: Array | memoryview) -> None:
    """Give back the memory of the mapped file that `view` belongs to, if any; what is used again is read again."""
    owner: Any = view
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):  # not on Windows
        owner.madvise(mmap.MADV_DONTNEED)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file that takes the place of `path` when the block has ended well; otherwise nothing is left of it.

    A reader sees the old content or the new, never a half. Raises WeightsError when the disk or the folder refuses.
    """
    try:
        with atomic.replacing(path) as temporary, temporary.open("wb") as file:
            yield file
    except OSError as error:
        folder = path.parent.absolute()
        raise WeightsError(f"{path.name}: cannot be written ({error.strerror}); check {folder}") from None


def pieces(tensor: Array) -> Iterator[memoryview]:
    """Yield the tensor's bytes in C order, little-endian, a few rows at a time: never is all of a view in memory."""
    little = tensor.dtype.newbyteorder("<")
    rows = np.atleast_1d(tensor)
    step = max(1, PIECE // max(1, tensor.nbytes // max(1, len(rows))))
    for start in range(0, len(rows), step):
        piece = np.ascontiguousarray(rows[start : start + step], dtype=little)
        yield piece.reshape(-1).view(np.uint8).data
        release(tensor)
