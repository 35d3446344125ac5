"""Features on disk: the trunk's output for a view of an image, found again by the image's digest.

A store is a folder of segments. A segment is a NumPy array of entries, written once under a name that holds the
SHA-256 of its content, so a killed process leaves whole segments only, a damaged one is noticed by its name, and any
number of processes can write to one store. SQLite was tried instead: 90 lines less, but an epoch in random order over
8,000 rows took twice as long, and a damaged row would pass unnoticed. Of each row only its key is in memory, in about
250 bytes.
"""

import logging
import os
import shutil
import time
import warnings
from collections.abc import Collection, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import platformdirs
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.system.atomic import replacing
from finetune.system.digest import sha256
from finetune.system.open_files import allow_open_files

logger = logging.getLogger(__name__)


class Key(NamedTuple):
    """What a row is stored under. `digest`: SHA-256 of the image's bytes. `view`: 0 as in use, others: `Trunk.key`."""

    digest: str
    view: int
    precision: Precision


SEGMENT_ROWS, SEGMENT_BYTES = 256, 8 << 20  # what a killed process loses at most, whichever comes first
CACHE_BYTES = 4 << 30  # all stores together; the longest unused go first
ABANDONED = 24 * 3600  # seconds after which no process is still writing a file
SEGMENTS = 60_000  # that can be open at once, if the system lets it; Linux maps up to 65,530 files
KEPT_BYTES = 32 << 20  # a store up to this size is read into memory once, since every epoch needs all of it
_FLOAT16_MAX = 65504.0
_PLACES = np.uint32(0x8FFFE000).view(np.int32)  # of a float16's bits in a float32, the upper three of the exponent 0


def cache_folder() -> Path:
    """Return the folder of all stores, in the user's cache."""
    return Path(platformdirs.user_cache_dir("finetune"), "features")


class FeatureStore:
    """The features of one trunk: `keep` adds rows, `rows(keys)` reads them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._segments: list[NDArray[Any]] = []
        self._count = 0
        self._numbers: dict[tuple[int, str], dict[bytes, int]] = {}  # of rows: by view and precision, then by digest
        self._waiting: list[tuple[Key, NDArray[Any]]] = []
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)  # used now
        allow_open_files(SEGMENTS)
        for path in sorted(folder.glob("*.npy")):
            self._open(path)

    def __contains__(self, key: Key) -> bool:
        return _digest_bytes(key) in self._numbers.get(key[1:], {})

    def keep(self, keys: Sequence[Key], rows: NDArray[Any]) -> None:
        """Keep those rows that it lacks; they can be read after `flush`."""
        for key, row in zip(keys, rows, strict=True):
            if key not in self:
                self._waiting.append((key, row))
                if len(self._waiting) >= SEGMENT_ROWS or len(self._waiting) * row.nbytes >= SEGMENT_BYTES:
                    self.flush()

    def flush(self) -> None:
        """Write the waiting rows as one segment: in float16, or in float32 where a value is too large for that."""
        if not self._waiting:
            return
        rows = np.stack([row for _, row in self._waiting])
        if rows.dtype != np.uint8 and np.abs(rows).max() <= _FLOAT16_MAX:
            rows = rows.astype(np.float16)
        columns = [("digest", "S64"), ("view", "<i8"), ("precision", "S8"), ("row", rows.dtype, rows.shape[1:])]
        entry = np.dtype(columns)
        segment = np.empty(len(rows), entry)
        for column in Key._fields:
            segment[column] = [getattr(key, column) for key, _ in self._waiting]
        segment["row"] = rows
        path = self.folder / f"{_checksum(segment)}.npy"
        content = BytesIO()  # writing straight to a file, NumPy hides why a disk refuses
        np.save(content, segment, allow_pickle=False)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # another process may have removed it as unused
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
        self._waiting.clear()
        self._register(np.load(path, mmap_mode="r", allow_pickle=False))

    def rows(self, keys: Sequence[Key]) -> "StoredRows":
        """Return the rows of `keys`, in that order, read from disk as they are asked for."""
        numbers = (self._numbers[key[1:]][_digest_bytes(key)] for key in keys)
        return StoredRows(self._segments, np.fromiter(numbers, np.int64, len(keys)))

    def close(self) -> None:
        """Let go of files and keys at once: what a traced function refers to may stay for long."""
        self._segments.clear()
        self._numbers.clear()

    def _open(self, path: Path) -> None:
        """Map a segment; remove one whose content does not match its name, so that it is computed again."""
        try:
            with warnings.catch_warnings(action="error"):  # for a header that NumPy doubts but reads
                segment = np.load(path, mmap_mode="r", allow_pickle=False)
            sound = isinstance(segment, np.ndarray) and _checksum(segment) == path.stem
        except Exception:  # NumPy raises ten kinds for damaged headers; fuzzing found more
            sound = False
        if sound:
            self._register(segment)
        else:
            logger.warning("%s in the cache of features is damaged; its features are computed again", path)
            path.unlink(missing_ok=True)

    def _register(self, segment: NDArray[Any]) -> None:
        self._segments.append(segment)
        for digest, view, precision in zip(*(segment[name] for name in Key._fields), strict=True):
            key = Key(digest.decode(), int(view), precision.decode())
            self._numbers.setdefault(key[1:], {})[_digest_bytes(key)] = self._count
            self._count += 1


class StoredRows:
    """Rows of a store, indexed like an array: `rows[indices]` is a float32 (or uint8) batch."""

    def __init__(self, segments: Sequence[NDArray[Any]], numbers: NDArray[np.int64]) -> None:
        """`numbers`: which rows, counted through all segments."""
        small = sum(segment.nbytes for segment in segments) <= KEPT_BYTES
        self._segments = [np.array(segment["row"]) if small else segment["row"] for segment in segments]
        self._starts = np.cumsum([0, *map(len, segments)])
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        numbers = self._numbers[indices]
        segments = np.searchsorted(self._starts, numbers, "right") - 1
        first = self._segments[segments[0]]
        rows = np.empty((len(numbers), *first.shape[1:]), np.uint8 if first.dtype == np.uint8 else np.float32)
        for segment in np.unique(segments):
            there = segments == segment
            rows[there] = _as_float32(self._segments[segment][numbers[there] - self._starts[segment]])
        return rows


def _as_float32(rows: NDArray[Any]) -> NDArray[Any]:
    """Return stored rows in float16, which are finite, as float32; others as they are.

    To the same bits as `astype`, which takes five times as long: float16 has a sign, 5 bits of exponent and 10 of
    fraction. In their places in a float32, they are the same number with an exponent that is 112 too small.
    """
    if rows.dtype != np.float16:
        return rows
    found = rows.view(np.int16).astype(np.int32)  # the sign goes to all upper bits
    found <<= 13
    found &= _PLACES
    numbers = found.view(np.float32)
    numbers *= np.float32(2.0**112)
    return numbers


def remove_unused(keep: Collection[Path], limit: int = CACHE_BYTES) -> None:
    """Remove the least recently used stores next to those to `keep`, until all together take at most `limit` bytes.

    Half-written files that a killed process left a day ago are removed too. Other processes may remove or rename files
    at the same time.
    """
    used: dict[Path, float] = {}
    sizes: dict[Path, int] = {}
    with suppress(OSError):
        for store in next(iter(keep)).parent.iterdir():
            with suppress(OSError):
                used[store], sizes[store] = store.stat().st_mtime, _tidied(store)
    for store in sorted(sizes, key=lambda store: used[store]):
        if sum(sizes.values()) <= limit:
            return
        if store not in keep:
            shutil.rmtree(store, ignore_errors=True)
            del sizes[store]


def _tidied(store: Path) -> int:
    """Return the size of a store in bytes, after removing half-written files that nobody will finish."""
    size = 0
    for file in store.iterdir():
        with suppress(OSError):
            found = file.stat()
            if file.suffix == ".part" and found.st_mtime < time.time() - ABANDONED:
                file.unlink()
            else:
                size += found.st_size
    return size


def _digest_bytes(key: Key) -> bytes:
    return bytes.fromhex(key.digest)


def _checksum(segment: NDArray[Any]) -> str:
    described = f"{segment.dtype.descr} {segment.shape}".encode()
    return sha256(described + b"\0" + np.ascontiguousarray(segment).view(np.uint8).data)
