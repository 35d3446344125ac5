"""From a path, URL, array or PIL image to network input: one function, `read_input`, reads all; also ten crops."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PilImage

from finetune.data.arrays import ArrayOrder, array_to_bgr
from finetune.data.channels import Image
from finetune.data.decode import decode, warn_if_doubtful, warn_of_dim_images
from finetune.data.idx import image_bytes, numbered_image
from finetune.data.network_input import to_input
from finetune.data.pil_image import pil_to_bgr
from finetune.data.preprocessing import Preprocessing, with_margin
from finetune.data.urls import is_url, read_url
from finetune.errors import ImageError
from finetune.system.nearest_path import did_you_mean_path


class FaultyLine(NamedTuple):
    """A line of a list that names no image: where it is, and why; in place of an image, one that cannot be read."""

    place: str
    reason: str

    def __str__(self) -> str:
        return self.place


ImageLike = Path | str | NDArray[np.uint8] | PilImage | FaultyLine
MAX_BYTES = 1 << 30  # of one file: 100 megapixels of 16 bits in four channels, uncompressed, are 800 MB


def read_input(
    image: ImageLike, preprocessing: Preprocessing, channel_order: ArrayOrder | None = None
) -> Image | ImageError:
    """Return the network input of an image, as `to_input`, or the error that says why it cannot be read.

    `channel_order` is that of an array. Raises UsageError for an array that `array_to_bgr` does not take.
    """
    name = path_or_url(image)
    try:
        if isinstance(image, FaultyLine):
            return ImageError(image.reason)
        if isinstance(image, np.ndarray):
            pixels = array_to_bgr(image, channel_order)
        elif isinstance(image, PilImage):
            pixels = pil_to_bgr(image)
        elif isinstance(name, Path):
            pixels = read_image(name, preprocessing.short_side)
        else:
            url = str(name)
            pixels = _decode_and_warn(read_url(url), url, preprocessing.short_side)
        return to_input(pixels, preprocessing)
    except ImageError as error:
        return error


def path_or_url(image: ImageLike) -> Path | str | None:
    """Return where an image comes from: a path, a URL or line of a list as text, None for an array or a PIL image."""
    if isinstance(image, np.ndarray | PilImage):
        return None
    if isinstance(image, FaultyLine):
        return image.place
    return image if isinstance(image, Path) or is_url(image) else Path(image)


def read_input_or_raise(image: Path | str | FaultyLine, preprocessing: Preprocessing) -> Image:
    """Return the network input of an image, as `read_input`; raise ImageError, naming it, if it cannot be read."""
    pixels = read_input(image, preprocessing)
    warn_of_dim_images()
    if isinstance(pixels, ImageError):
        near = "" if isinstance(image, FaultyLine) or is_url(str(image)) else did_you_mean_path(Path(image))
        raise ImageError(f"{image}: {pixels}{near}")
    return pixels


def read_image(path: Path, short_side: int | None = None) -> Image:
    """Read a file and `decode` it; `warn_if_doubtful`; raise ImageError if it cannot be read."""
    return _decode_and_warn(read_bytes(path), path, short_side)


def _decode_and_warn(data: bytes, name: Path | str, short_side: int | None) -> Image:
    decoded = decode(data, short_side)
    warn_if_doubtful(name, decoded.damage, decoded.dim)
    return decoded.image


def read_bytes(path: Path) -> bytes:
    """Return the content of a file or, if the path is `FILE#NUMBER`, of one image in an IDX file, as a BMP.

    Raises ImageError if it cannot be opened.
    """
    if numbered := numbered_image(path):
        return image_bytes(*numbered)
    try:
        status = os.stat(path)  # noqa: PTH116 (before opening, since opening a pipe would wait for a writer)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise ImageError("not a regular file; pass an image file")
        if status.st_size > MAX_BYTES:
            raise ImageError(f"larger than the limit of {MAX_BYTES >> 20} MB; shrink it")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})") from None
    except ValueError:  # such as a NUL in the name
        raise ImageError("cannot be opened (invalid file name)") from None


def ten_crop_preprocessing(preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing whose input is the larger square that `ten_crops` cuts from."""
    larger = with_margin(preprocessing)
    return replace(larger, size=larger.resize_to)


def ten_crops(square: Image, size: int) -> Image:
    """Return (10, size, size, channels): the four corners and the centre of a square image, then their mirror images.

    Krizhevsky et al. 2012, section 4.1, who average the ten predictions. Corners: top left, top right, bottom left,
    bottom right.
    """
    free = len(square) - size
    corners = ((0, 0), (0, free), (free, 0), (free, free))
    crops = np.stack([square[top : top + size, left : left + size] for top, left in (*corners, (free // 2, free // 2))])
    return np.concatenate([crops, crops[:, :, ::-1]])
