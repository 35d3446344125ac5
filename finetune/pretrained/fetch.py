"""Download published weights: resumed where they broke off, checked before they count, kept as safetensors.

With requests, which TensorFlow brings: it knows the proxies and certificates of the machine. pooch, which builds on it,
cannot resume.
"""

import hashlib
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate, parsedate_to_datetime
from errno import EDQUOT, ENOSPC
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
from filelock import FileLock, Timeout

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.pretrained import imagenet
from finetune.pretrained.catalogue import CATALOGUE, Entry, Source, described, find, folders, how_to_get
from finetune.pretrained.infer import network_of
from finetune.pretrained.load import load_weights
from finetune.system.extras import needs
from finetune.system.progress import track

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0  # for the first connections to all sources together, looking up their names included
SILENCE_SECONDS = 30.0  # without a byte, once connected
MAX_REDIRECTS = 5
MEGABYTE = 1_000_000
PIECE = 1 << 16  # bytes


class _SourceError(Exception):
    """This source does not give the file; the next one is tried."""


def fetch(name: str) -> Path:
    """Return the file with the weights `name` of the catalogue, downloaded into the user's cache if it is nowhere yet.

    What broke off goes on where it stopped. Raises WeightsError when no source gives the file, the connection breaks,
    or the disk is full; KeyError for an unknown name.
    """
    if path := find(name):
        return path
    entry, folder = CATALOGUE[name], folders()[-1]
    if not entry.sources:
        raise WeightsError(f"weights {name!r} are part of this package, but their file is gone; install finetune again")
    if os.environ.get("FINETUNE_OFFLINE", "0") not in ("", "0"):
        raise WeightsError(
            f"weights {name!r} are not on this machine and not fetched, since FINETUNE_OFFLINE is set; "
            f"{how_to_get(name)}, or unset it"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, name):
            return find(name) or _from_sources(entry, folder)
    except OSError as error:
        raise WeightsError(f"{folder} cannot be written ({error.strerror}); make it a folder that you own") from None


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Let one process at a time fetch `name`; the system frees the lock of a process that dies."""
    lock = FileLock(folder / f".{name}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info("another process fetches %s; waiting for it", name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _from_sources(entry: Entry, folder: Path) -> Path:
    """Return the file from the first source that gives it."""
    probes = [_Probe(source.url) for source in entry.sources]
    deadline = time.monotonic() + CONNECT_SECONDS
    failures: list[str] = []
    for source, probe in zip(entry.sources, probes, strict=True):
        host = urlsplit(source.url).netloc
        try:
            if source.file.endswith(".onnx") and not find_spec("onnx"):
                raise _SourceError(f"reading it {needs('onnx')}")
            probe.join(max(0, deadline - time.monotonic()))
            if probe.failure:
                raise _SourceError(probe.failure)
            for failure in failures:  # told only now: a machine without a network gets one line, not one a source
                logger.warning("note: %s; trying %s", failure, host)
            failures.clear()
            return _keep(entry, source, _download(source, folder))
        except _SourceError as error:
            failures.append(f"{host}: {error}")
    raise WeightsError(
        f"weights {entry.name!r} are not on this machine and cannot be fetched ({'; '.join(failures)}); "
        f"{how_to_get(entry.name)}"
    )


class _Probe(threading.Thread):
    """Connects to the server of `url`, or to the proxy on the way there; `failure` says why that did not work.

    A thread, because the system's look-up of a name has no time limit; all sources together wait only once.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.failure: str | None = f"no connection within {CONNECT_SECONDS:.0f} s"
        proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
        self._address = urlsplit(requests.utils.prepend_scheme_if_needed(proxy, "http") if proxy else url)
        self.start()

    def run(self) -> None:
        port = self._address.port or (443 if self._address.scheme == "https" else 80)
        try:
            socket.create_connection((self._address.hostname, port), CONNECT_SECONDS).close()
            self.failure = None
        except OSError as error:
            self.failure = f"no route ({error.strerror or error})"


def _download(source: Source, folder: Path) -> Path:
    """Return the whole file that `source` offers, its size and digest checked, still under a name of ours."""
    part = folder / f".{source.file}.part"
    if source.size is None or _size(part) != source.size:
        _receive(source, part)
    kind, _, expected = (source.digest or "sha256-prefix:").partition(":")
    found = _digest(part, kind.removesuffix("-prefix"))
    if source.size not in (None, _size(part)) or not found.startswith(expected):
        part.unlink()
        raise _SourceError(f"its content is wrong and was deleted: expected {source.digest}, came {found}")
    if not source.digest:
        logger.warning("note: no digest is published for %s: its content was compared with nothing", source.url)
    return part


def _receive(source: Source, part: Path) -> None:
    """Add to `part` what it still lacks; a part that belongs to an older file starts anew."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if not source.digest:  # nothing would tell two halves of different files: go on only with the same one
            headers["If-Range"] = formatdate(part.stat().st_mtime, usegmt=True)
    try:
        with requests.Session() as session, _open(session, source.url, headers) as response:
            start, total = _extent(response)
            if source.size not in (None, total):
                raise _SourceError(f"it offers {total:,} bytes, expected {source.size:,}")
            if response.status_code == 416 and have and have != total:
                part.unlink()
                return _receive(source, part)
            _write(source, part, response, start, total)
    except (requests.RequestException, ValueError) as error:  # ValueError: a redirect to what is no URL
        raise _SourceError(_reason(error)) from None
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        part.unlink(missing_ok=True)
        raise WeightsError(
            f"the disk is full: {source.file} does not fit into {part.parent}; free some space and run the same again"
        ) from None


def _open(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Return the answer at the end of a few redirects, its content not yet read."""
    for _ in range(MAX_REDIRECTS + 1):
        response = session.get(
            url, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_SECONDS, SILENCE_SECONDS)
        )
        if not response.is_redirect:
            return response
        response.close()
        url = _redirected(url, response.headers["Location"])
    raise _SourceError(f"it redirects more than {MAX_REDIRECTS} times")


def _redirected(url: str, location: str) -> str:
    """Return where a redirect leads; never from https to http."""
    target = urljoin(url, location)
    admitted = ("https",) if urlsplit(url).scheme == "https" else ("https", "http")
    if urlsplit(target).scheme not in admitted:
        raise _SourceError(f"refused: it redirects to {ascii(target)[:200]}; expected {' or '.join(admitted)}")
    return target


def _extent(response: requests.Response) -> tuple[int, int]:
    """Return at which byte the answer starts and how many the whole file has."""
    if response.status_code == 200:
        match = re.fullmatch(r"()(\d{1,15})", response.headers.get("Content-Length", ""))
    elif response.status_code in (206, 416):  # part of the file, or nothing after what is there
        match = re.fullmatch(r"bytes (?:(\d{1,15})-\d+|\*)/(\d{1,15})", response.headers.get("Content-Range", ""))
    else:
        raise _SourceError(f"it answers {response.status_code}")
    if not match:
        raise _SourceError("it does not say how large the file is")
    return int(match[1] or 0), int(match[2])


def _write(source: Source, part: Path, response: requests.Response, start: int, total: int) -> None:
    """Write the answer to `part` from byte `start` on; a broken connection that brought something ends the fetching."""
    if response.status_code == 416:
        return
    if start not in (0, _size(part)):
        raise _SourceError(f"it goes on at byte {start:,}, asked for {_size(part):,}")
    if start:
        logger.info("%s: going on after %.1f MB", source.file, start / MEGABYTE)
    try:
        with part.open("ab" if start else "wb") as file:
            pieces = _megabytes(response, file)
            for _ in track(pieces, ceil((total - start) / MEGABYTE), f"fetching {source.file}", "MB"):
                pass
    except requests.RequestException:
        if _size(part) == start:
            raise
        broke = f"the connection to {source.url} broke after {_size(part) / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB"
        raise WeightsError(f"{broke}; run the same again to go on") from None
    finally:
        with suppress(KeyError, ValueError, OverflowError):  # kept as the part's own time, for If-Range
            modified = parsedate_to_datetime(response.headers["Last-Modified"]).timestamp()
            os.utime(part, (modified, modified))


def _megabytes(response: requests.Response, file: BinaryIO) -> Iterator[None]:
    """Write what comes piece by piece, and yield once a megabyte."""
    written = 0
    for piece in response.iter_content(PIECE):
        file.write(piece)
        written += len(piece)
        if written >= MEGABYTE:
            written -= MEGABYTE
            yield
    if written:
        yield


def _keep(entry: Entry, source: Source, part: Path) -> Path:
    """Return `part` converted to a safetensors file that describes itself; the original is deleted."""
    try:
        file = described(read_weights(part), entry.name)
        network = network_of(file)
        weights = load_weights(network, file)
    except WeightsError as error:
        part.unlink()
        raise _SourceError(f"{error}") from None
    known = network.num_classes == len(imagenet.class_names())
    description = {
        "network": network.name,
        "options": dict(network.options),
        "preprocessing": network.preprocessing.to_json(),
        **({"class_names": imagenet.class_names()} if known else {}),
        "weights": {"name": entry.name, "source": source.url, "sha256": _digest(part, "sha256")},
    }
    target = part.with_name(f"{entry.name}.safetensors")
    try:
        write_safetensors(target, weights, description)
    except WeightsError as error:
        logger.warning("note: %s; %s stays as it is, which loads slower", error, source.file)
        return part.replace(part.with_name(source.file))
    part.unlink()
    logger.info("%s: fetched from %s and kept as %s", entry.name, source.url, target)
    return target


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _reason(error: requests.RequestException | ValueError) -> str:
    """Return in a few words why nothing came; the text of requests fills several lines."""
    reasons = {
        requests.exceptions.ConnectTimeout: f"no connection within {CONNECT_SECONDS:.0f} s",
        requests.exceptions.ReadTimeout: f"no answer within {SILENCE_SECONDS:.0f} s",
        requests.exceptions.SSLError: "its certificate is not trusted",
        requests.exceptions.ProxyError: "the proxy on the way refuses",
        ValueError: "its answer makes no sense",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "the connection broke")
