"""The SHA-256 of image files, computed once per file: remembered in the user's cache by its stamp, until it changes."""

import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import platformdirs

from finetune.data.header import read_header
from finetune.data.images import read_bytes
from finetune.errors import ImageError
from finetune.system.digest import sha256
from finetune.system.parallel import parallel_map

MOST_ROWS = 20_000_000  # 1.7 GB; beyond, the oldest go first
SETTLED = 2.0  # seconds after which another change of a file gets another time: FAT counts in steps of 2 s
BATCH = 1000  # rows that are written at once, and that a killed process loses
WAIT = 10.0  # seconds for another process that writes
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # the lower 8 bits of SQLite's error codes
_NAME = "digests-1.sqlite"  # the number changes with the columns, and when other headers are refused
_TABLE = """CREATE TABLE IF NOT EXISTS files
(device INTEGER, inode INTEGER, digest BLOB, proof BLOB, PRIMARY KEY (device, inode))"""


class Stamp(NamedTuple):
    """What identifies a file and changes with its content.

    `ctime_ns`, the time of the last change of content or attributes, changes even where a program sets the time of the
    last change back, as tools that rotate photos do.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def is_settled(self, now: float) -> bool:
        """Return whether a change after `now`, in seconds, would certainly change the stamp.

        Not if the last change is too recent, as in git's index, nor where times are whole seconds, as on FAT and on
        some network file systems, whose inodes may be other files tomorrow.
        """
        fine = self.ctime_ns % 1_000_000_000 != 0
        return fine and max(self.mtime_ns, self.ctime_ns) / 1e9 < now - SETTLED


class DigestCache:
    """Stamps with digests in an SQLite database in the user's cache; all threads may use it, and other processes.

    Whatever is wrong with it, nothing is raised: then it knows nothing and keeps nothing.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = Lock()
        self._waiting: dict[Stamp, str] = {}
        self._database: sqlite3.Connection | None = None
        with self._disabled_by_errors():
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._database = sqlite3.connect(file, timeout=WAIT, check_same_thread=False, isolation_level=None)
            self._database.execute(_TABLE)

    def find(self, stamp: Stamp) -> str | None:
        """Return the digest of the file with this stamp, None if it is not known."""
        with self._lock, self._disabled_by_errors():
            if stamp in self._waiting or not self._database:
                return self._waiting.get(stamp)
            query = "SELECT digest, proof FROM files WHERE device = ? AND inode = ?"
            digest, proof = self._database.execute(query, stamp[:2]).fetchone() or (b"", b"")
            if isinstance(digest, bytes) and proof == _proof(stamp, digest):
                return digest.hex()
        return None

    def keep(self, stamp: Stamp, digest: str) -> None:
        """Remember a digest; it is written with others, at the latest by `close`."""
        with self._lock:
            self._waiting[stamp] = digest
            if len(self._waiting) >= BATCH:
                self._write()

    def close(self) -> None:
        """Write what is waiting."""
        with self._lock, self._disabled_by_errors():
            self._write()
            if self._database:
                self._database.close()

    def _write(self) -> None:
        found = {stamp: bytes.fromhex(digest) for stamp, digest in self._waiting.items()}
        rows = [(*stamp[:2], digest, _proof(stamp, digest)) for stamp, digest in found.items()]
        self._waiting.clear()
        with self._disabled_by_errors():
            if self._database and rows:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.executemany("REPLACE INTO files VALUES (?, ?, ?, ?)", rows)
                self._database.execute(
                    "DELETE FROM files WHERE rowid <= (SELECT max(rowid) FROM files) - ?", [MOST_ROWS]
                )
                self._database.execute("COMMIT")

    @contextmanager
    def _disabled_by_errors(self) -> Iterator[None]:
        """Use the database no more after an error; remove a damaged one, so that the next training has a new one.

        Other errors say nothing about the file, such as that of a thread which outlived `close`, after Ctrl-C twice.
        """
        try:
            yield
        except (OSError, sqlite3.Error, OverflowError) as error:
            database, self._database = self._database, None
            with suppress(OSError, sqlite3.Error):
                if database:
                    database.close()
                if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                    self._file.unlink()
                    Path(f"{self._file}-journal").unlink(missing_ok=True)


def digests(paths: Iterable[Path], cache: bool = True) -> Iterator[str | ImageError]:
    """Yield the SHA-256 of each file whose header is that of an image, or the error that says why it is not.

    In order, on all cores. With `cache`, a file that was hashed before and has the same stamp is not opened.
    """
    if not cache:
        yield from parallel_map(_digest, paths)
        return
    with closing(DigestCache(Path(platformdirs.user_cache_dir("finetune"), _NAME))) as known:
        yield from parallel_map(partial(_digest, known=known), paths)


def _digest(path: Path, known: DigestCache | None = None) -> str | ImageError:
    now = time.time()  # before the stamp: a change after it, even before the file is read, leads to another stamp
    stamp = _stamp(path) if known else None
    if known and stamp and (digest := known.find(stamp)):
        return digest
    try:
        data = read_bytes(path)
        read_header(data)
    except ImageError as error:
        return error
    digest = sha256(data)
    if known and stamp and stamp.is_settled(now):
        known.keep(stamp, digest)
    return digest


def _stamp(path: Path) -> Stamp | None:
    """Return the stamp of a regular file, None for anything else, such as an image in a file of many.

    None on Windows, where the time called ctime is when the file was made: it does not change with the content.
    """
    if sys.platform == "win32":
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 (three times as fast as Path.stat)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    inode = status.st_ino - (1 << 64) * (status.st_ino >> 63)  # SQLite's integers have a sign
    return Stamp(status.st_dev, inode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _proof(stamp: Stamp, digest: bytes) -> bytes:
    """Return what proves that a row is of this stamp and that no bit of it has changed; SQLite does not notice that."""
    return bytes.fromhex(sha256(f"{stamp} {digest.hex()}".encode())[:32])
