"""Download published weights: resumed where the connection broke, checked before use, stored as safetensors.

pooch, a library for this, cannot resume.
"""

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate, parsedate_to_datetime
from errno import EDQUOT, ENOSPC
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.pretrained.catalogue import CATALOGUE, Download, Entry
from finetune.pretrained.class_names import imagenet_class_names
from finetune.pretrained.infer import describe, description_of, network_of
from finetune.pretrained.load import load_weights
from finetune.pretrained.locate import find, folders, how_to_get
from finetune.system import http
from finetune.system.digest import digest_of_file, sha256_of_file
from finetune.system.extras import needs
from finetune.system.progress import track

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0  # without a byte, once connected
MEGABYTE = 1_000_000


class _UnusableError(Exception):
    """This download does not give the weights; the next one is tried."""


def fetch(name: str) -> Path:
    """Return the file of the published weights `name`; if no folder has it, download it into the user's cache.

    An interrupted download is resumed. Raises WeightsError when no address gives the weights, the connection breaks,
    or the disk is full; KeyError for an unknown name.
    """
    if path := find(name):
        return path
    entry, folder = CATALOGUE[name], folders()[-1]
    if not entry.downloads:
        raise WeightsError(f"weights {name!r} are part of this package, but their file is missing; reinstall finetune")
    if http.offline():
        raise WeightsError(
            f"weights {name!r} are not on this machine, and not fetched because FINETUNE_OFFLINE is set; unset it, or "
            f"{how_to_get(name)}"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder, name):
            return find(name) or _first_usable(entry, folder)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written ({error.strerror}); make it a folder that you own") from None


@contextmanager
def _lock(folder: Path, name: str) -> Iterator[None]:
    """Let only one process at a time fetch `name`; the system releases the lock of a process that dies."""
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info("waiting for another process that is fetching %s", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _first_usable(entry: Entry, folder: Path) -> Path:
    """Return the weights from the first download that gives them."""
    probes = [http.TrialConnection(download.url) for download in entry.downloads]
    deadline = time.monotonic() + http.CONNECT_SECONDS  # for all together
    failures: list[str] = []
    for download, probe in zip(entry.downloads, probes, strict=True):
        host = urlsplit(download.url).netloc
        try:
            if download.file.endswith(".onnx") and not find_spec("onnx"):
                raise _UnusableError(f"reading it {needs('onnx')}")
            probe.join(max(0, deadline - time.monotonic()))
            if probe.failure:
                raise _UnusableError(probe.failure)
            for failure in failures:  # not earlier: without a network there is one line, not one per download
                logger.warning("%s; trying %s", failure, host)
            failures.clear()
            return _convert(entry, download, _download(download, folder))
        except (_UnusableError, http.HttpError) as error:
            failures.append(f"{host}: {error}")
    raise WeightsError(
        f"weights {entry.name!r} are not on this machine and cannot be fetched ({'; '.join(failures)}); "
        f"{how_to_get(entry.name)}"
    )


def _download(download: Download, folder: Path) -> Path:
    """Return the complete file, its size and digest checked, still under a hidden name."""
    part = folder / f".{download.file}.part"
    if download.size is None or _size(part) != download.size:
        _receive(download, part)
    kind, _, expected = (download.digest or "sha256-prefix:").partition(":")
    found = digest_of_file(part, kind)
    if download.size not in (None, _size(part)) or not found.startswith(expected):
        part.unlink()
        raise _UnusableError(f"its content is wrong and was deleted: expected {download.digest}, got {found}")
    if not download.digest:
        logger.warning("no digest is published for %s, so its content could not be verified", download.url)
    return part


def _receive(download: Download, part: Path) -> None:
    """Append to `part` the bytes that it lacks; a part of an older file is downloaded again from the start."""
    have = _size(part)
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and not download.digest:  # no digest would reveal halves of two files: resume only if it has not changed
        headers["If-Range"] = formatdate(part.stat().st_mtime, usegmt=True)
    try:
        with http.get(download.url, SILENCE_SECONDS, headers) as answer:
            start, total = _extent(answer, have)
            if download.size not in (None, total):
                raise _UnusableError(f"it offers {total:,} bytes, expected {download.size:,}")
            if answer.status != 416:
                return _write(download, part, answer, start, total)
        if have != total:  # 416: nothing follows these bytes
            part.unlink()
            _receive(download, part)
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        part.unlink(missing_ok=True)
        raise WeightsError(
            f"the disk is full: {download.file} does not fit into {part.parent}; free some space and run the same "
            "command again"
        ) from None


def _extent(answer: http.Answer, have: int) -> tuple[int, int]:
    """Return the position of the answer's first byte, and the size of the whole file."""
    if answer.status == 200:
        match = re.fullmatch(r"()(\d{1,15})", answer.headers.get("Content-Length", ""))
    elif answer.status == 206 or (answer.status == 416 and have):  # a part, or no bytes after those that `part` has
        match = re.fullmatch(r"bytes (?:(\d{1,15})-\d+|\*)/(\d{1,15})", answer.headers.get("Content-Range", ""))
    else:
        raise _UnusableError(f"the server answers {answer.status}")
    if not match:
        raise _UnusableError("the server does not state the size of the file")
    return int(match[1] or 0), int(match[2])


def _write(download: Download, part: Path, answer: http.Answer, start: int, total: int) -> None:
    """Write the answer to `part` from byte `start` on; raise WeightsError if the connection breaks after some bytes."""
    if start not in (0, _size(part)):
        raise _UnusableError(f"the server resumes at byte {start:,}, but {_size(part):,} was requested")
    if start:
        logger.info("%s: resuming after %.1f MB", download.file, start / MEGABYTE)
    try:
        with part.open("ab" if start else "wb") as file:
            megabytes = _megabytes(answer.pieces, file)
            for _ in track(megabytes, ceil((total - start) / MEGABYTE), f"fetching {download.file}", "MB"):
                pass
    except http.HttpError:
        if _size(part) == start:
            raise
        raise WeightsError(
            f"the connection to {download.url} broke after {_size(part) / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB; "
            "run the same command again to resume"
        ) from None
    finally:
        with suppress(KeyError, ValueError, OverflowError):  # stored as the part's own time, for If-Range
            modified = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
            os.utime(part, (modified, modified))


def _megabytes(pieces: Iterator[bytes], file: BinaryIO) -> Iterator[None]:
    """Write the pieces to `file`, and yield once per megabyte."""
    written = 0
    for piece in pieces:
        file.write(piece)
        written += len(piece)
        if written >= MEGABYTE:
            written -= MEGABYTE
            yield
    if written:
        yield


def _convert(entry: Entry, download: Download, part: Path) -> Path:
    """Return `part` as a safetensors file that describes itself; the original is deleted."""
    try:
        file = describe(read_weights(part), entry.name)
        network = network_of(file)
        weights = load_weights(network, file)
    except WeightsError as error:
        part.unlink()
        raise _UnusableError(f"{error}") from None
    known = network.num_classes == len(imagenet_class_names())
    metadata = {
        **description_of(network),
        **({"class_names": imagenet_class_names()} if known else {}),
        "weights": {"name": entry.name, "source": download.url, "sha256": sha256_of_file(part)},
    }
    target = part.with_name(f"{entry.name}.safetensors")
    try:
        write_safetensors(target, weights, metadata)
    except WeightsError as error:
        logger.warning("%s; keeping %s as it is, which loads more slowly", error, download.file)
        return part.replace(part.with_name(download.file))
    part.unlink()
    logger.info("%s: fetched from %s and saved as %s", entry.name, download.url, target)
    return target


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
