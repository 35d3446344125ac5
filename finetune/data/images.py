"""What a classifier takes as an image: a path, a URL or an array. One function reads them all."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.data.decode import decode, warn_of_damage
from finetune.data.idx import idx_place, image_bytes
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.data.urls import is_url, read_url
from finetune.errors import ImageError, UsageError

ImageLike = Path | str | NDArray[np.uint8]
MAX_BYTES = 1 << 30  # of one file: 100 megapixels of 16 bits in four channels, uncompressed, are 800 MB

ArrayOrder = Literal["rgb", "bgr"]  # of the channels of an array in colour


def several(pictures: Iterable[ImageLike]) -> Iterator[ImageLike]:
    """Return an iterator over the pictures; raise UsageError for a single one, whose rows or letters it would yield."""
    if isinstance(pictures, str | Path) or (isinstance(pictures, np.ndarray) and pictures.ndim < 4):
        kind = f"one array of shape {pictures.shape}" if isinstance(pictures, np.ndarray) else repr(str(pictures))
        raise UsageError(f"expected several pictures, {kind} came; put it into a list: [picture]")
    return iter(pictures)


def place_of(picture: ImageLike) -> Path | str | None:
    """Return where a picture is: its path, its URL as text, or None for an array."""
    if isinstance(picture, np.ndarray):
        return None
    return picture if isinstance(picture, Path) or is_url(picture) else Path(picture)


def read_input(
    image: ImageLike, preprocessing: Preprocessing, channel_order: ArrayOrder | None = None
) -> Image | ImageError:
    """Return the network input of an image, as `to_input`, or the error that says why it cannot be read.

    `channel_order` is that of an array. Raises UsageError for an array that is none of those that `array_to_bgr` takes.
    """
    place = place_of(image)
    try:
        if isinstance(image, np.ndarray):
            pixels = array_to_bgr(image, channel_order)
        elif isinstance(place, Path):
            pixels = read_image(place, preprocessing.short_side)
        else:
            url = str(place)
            pixels = _decode_and_warn(read_url(url), url, preprocessing.short_side)
        return to_input(pixels, preprocessing)
    except ImageError as error:
        return error


def read_image(path: Path, short_side: int | None = None) -> Image:
    """Read and decode a file, as `decode`; raise ImageError when it cannot be opened. Damage is warned of once."""
    return _decode_and_warn(read_bytes(path), path, short_side)


def _decode_and_warn(data: bytes, name: Path | str, short_side: int | None) -> Image:
    image, damage = decode(data, short_side)
    if damage:
        warn_of_damage(name, damage)
    return image


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or of one image in an IDX file, as a BMP, when the path is `FILE#NUMBER`.

    Raises ImageError when it cannot be opened.
    """
    if place := idx_place(path):
        return image_bytes(*place)
    try:
        found = os.stat(path)  # noqa: PTH116 (before opening: a pipe would wait for somebody to write)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise ImageError("no regular file; give a file that holds a picture")
        if found.st_size > MAX_BYTES:
            raise ImageError(f"more than the limit of {MAX_BYTES >> 20} MB; shrink it")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})") from None
    except ValueError:  # a NUL in the name
        raise ImageError("cannot be opened (no such name can be)") from None


def array_to_bgr(array: NDArray[Any], channel_order: ArrayOrder | None) -> Image:
    """Return an array as the decoder gives pictures: (height, width, 3) uint8 in BGR order.

    `array` is uint8, (height, width, 3) in the order said, or (height, width) gray. An order is never guessed: RGB
    taken for BGR costs accuracy in silence. Raises UsageError for anything else.
    """
    if array.dtype != np.uint8:
        raise UsageError(f"expected an array of uint8, 0 to 255, {array.dtype} came; convert it")
    gray = array.ndim == 2
    if not (gray or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise UsageError(f"expected an array (height, width, 3) or, for gray, (height, width), {array.shape} came")
    if gray:
        return np.repeat(array[..., None], 3, axis=2)
    if channel_order not in ("rgb", "bgr"):
        raise UsageError(
            f"an array in colour needs channel_order, 'rgb' or 'bgr', which is never guessed; {channel_order!r} came"
        )
    return np.ascontiguousarray(array[..., ::-1] if channel_order == "rgb" else array)


def ten_crop_preprocessing(preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing whose input is the larger square that `ten_crops` cuts from."""
    return replace(preprocessing, size=preprocessing.resize_to)


def ten_crops(square: Image, size: int) -> Image:
    """Return (10, size, size, channels): the four corners and the centre of a square picture, then their mirror images.

    Krizhevsky et al. 2012, section 4.1, who average the ten predictions. Corners: top left, top right, bottom left,
    bottom right.
    """
    free = len(square) - size
    places = ((0, 0), (0, free), (free, 0), (free, free), (free // 2, free // 2))
    crops = np.stack([square[top : top + size, left : left + size] for top, left in places])
    return np.concatenate([crops, crops[:, :, ::-1]])
