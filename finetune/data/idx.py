"""The IDX format of MNIST: magic number and sizes, big-endian, then one byte per pixel or label.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "File formats". A single image is
named like a file, with its number: `train-images-idx3-ubyte#17` is the eighteenth.
"""

import gzip
import math
import os
import re
import struct
import zlib
from functools import lru_cache
from io import BufferedIOBase
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.errors import ImageError
from finetune.system.text import shape_text

MAX_DECOMPRESSED = 2**30  # bytes; held in memory, unlike a plain file
_UNSIGNED_BYTES = 8  # third byte of the magic number; the fourth is the number of dimensions
_NUMBERED = re.compile(r"(.+)#([0-9]{1,10})")  # an IDX file counts up to 2^32, which has 10 digits
_CHUNK = 2**20  # bytes: memory grows with the data that exists, not with what the header claims

_one_at_a_time = Lock()  # all decoding threads need the same file: the first of them decompresses it


def numbered_image(path: Path) -> tuple[Path, int] | None:
    """Return file and number of `FILE#NUMBER`, or None for any other path; a file of that very name wins."""
    match = _NUMBERED.fullmatch(path.name)
    if not match or os.path.exists(path):  # noqa: PTH110 (never raises, unlike Path.exists for an overlong name)
        return None
    file = path.parent / match[1]  # not with_name, which raises for ".#1"
    return (file, int(match[2])) if os.path.isfile(file) else None  # noqa: PTH113 (never raises)


def image_exists(path: Path) -> bool:
    """Return whether a path exists, as a file or as `FILE#NUMBER` of an IDX file; never raises."""
    return os.path.exists(path) or numbered_image(path) is not None  # noqa: PTH110 (never raises, unlike Path.exists)


def image_bytes(images: Path, number: int) -> bytes:
    """Return image `number`, from 0, as a BMP, always the same bytes; raise ImageError if it does not exist."""
    pixels = read_images(images)
    if number >= len(pixels):
        raise ImageError(f"image {number} does not exist: the file has {len(pixels)}, counted from 0")
    # In colour: a gray BMP has a palette, and Pillow needs five times as long for its header.
    _, encoded = cv2.imencode(".bmp", cv2.cvtColor(pixels[number], cv2.COLOR_GRAY2BGR))
    return encoded.tobytes()


def read_images(path: Path) -> NDArray[np.uint8]:
    """Return the images of a file, as `read_idx`; it is opened and decompressed once, until it changes."""
    try:
        status = path.stat()
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})") from None
    with _one_at_a_time:
        images = _images(path, status.st_mtime_ns, status.st_size)
    if isinstance(images, ImageError):
        raise ImageError(str(images))
    return images


@lru_cache(maxsize=2)  # for training and for validation
def _images(path: Path, changed: int, size: int) -> NDArray[np.uint8] | ImageError:
    """Return the images or the error, so that a damaged file is not decompressed again for each of its images."""
    try:
        return read_idx(path, 3)
    except ImageError as error:
        return error


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return images (dimensions 3: count, height, width) or labels (1: count) as uint8; gzip is detected by content.

    A plain file is mapped, not read. Raises ImageError, without the path, if the file is not such an IDX file, differs
    in length from what its header says, or would need more than MAX_DECOMPRESSED.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if zipped:
            with gzip.open(path) as file:
                return _decompress(file, _read_shape(file, dimensions))
        with path.open("rb") as file:
            shape = _read_shape(file, dimensions)
            start = file.tell()
            _check_length(path.stat().st_size - start, shape)
        return np.memmap(path, np.uint8, "r", start, shape)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ImageError("the gzip data is damaged or cut short; get the file again") from None
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})") from None


def _read_shape(file: BufferedIOBase, dimensions: int) -> tuple[int, ...]:
    magic, sizes = file.read(4), file.read(4 * dimensions)
    expected = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    if magic != expected:
        kind = "images" if dimensions == 3 else "labels"
        found = magic.hex() or "nothing"
        raise ImageError(f"not an IDX file of {kind}: expected it to begin with {expected.hex()}, found {found}")
    if len(sizes) < 4 * dimensions:
        raise ImageError("the IDX header is cut short; get the file again")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if 0 in shape:
        raise ImageError(f"the IDX header says {shape_text(shape)} bytes, so the file holds nothing")
    return shape


def _decompress(file: BufferedIOBase, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    size = math.prod(shape)
    if size > MAX_DECOMPRESSED:
        raise ImageError(
            f"the IDX header says {shape_text(shape)} bytes, more than the limit of {MAX_DECOMPRESSED // 2**30} GB "
            "for a compressed file; decompress it first"
        )
    content = bytearray()
    while chunk := file.read(min(_CHUNK, size + 1 - len(content))):  # one byte more shows whether the file has more
        content += chunk
    _check_length(len(content), shape)
    return np.frombuffer(content, np.uint8).reshape(shape)


def _check_length(length: int, shape: tuple[int, ...]) -> None:
    size = math.prod(shape)
    if length != size:
        found = "is cut short" if length < size else "has more"
        raise ImageError(f"the IDX header says {shape_text(shape)} bytes, but the file {found}; get it again")
