"""From the bytes of an image file to its upright pixels: the one decoder that training, prediction and export share."""

import logging
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.data.exif import upright
from finetune.data.header import Header, read_header
from finetune.data.jpeg import decode_jpeg
from finetune.data.png import read_png
from finetune.data.tiff import Alpha
from finetune.errors import ImageError

logger = logging.getLogger(__name__)

# OpenCV would print its own lines, next to our message, for every damaged file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class Decoded(NamedTuple):
    """Upright pixels, (height, width, 3) uint8 in BGR order, and the damage of a JPEG in libjpeg's words, or ""."""

    image: Image
    damage: str


def decode(data: bytes, short_side: int | None = None, header: Header | None = None) -> Decoded:
    """Decode JPEG, PNG, WebP, BMP, TIFF or the first frame of a GIF to (height, width, 3) uint8 in BGR order.

    EXIF orientation is undone, transparency is laid over white, 16 bits are cut to 8, and gray, palette and CMYK become
    BGR. `short_side`: how many pixels the short side must keep; a JPEG with at least twice as many is decoded at 1/2,
    1/4 or 1/8 of its size, averaged by the decoder. `header`: that of the same data, if it has been read already.
    The decoder guesses the missing pixels of a damaged JPEG; `damage` then says what is wrong.

    Raises ImageError, with the reason, for data that cannot be decoded and for images of over 100 megapixels.
    """
    header = header or read_header(data)
    pixels: NDArray[np.generic] | None
    try:
        if header.format == "JPEG":
            pixels, damage = decode_jpeg(data, header.width, header.height, short_side) or (None, "")
        else:
            pixels, damage = _decode_with_opencv(data, header.format), ""
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        pixels = None
    if pixels is None:
        raise ImageError(f"the {header.format} data is damaged or cut short")
    return Decoded(upright(opaque(_eight_bits(pixels), header.alpha), header.orientation), damage)


@cache
def warn_of_damage(name: Path | str, damage: str) -> None:
    """Warn that an image is damaged, once for each image."""
    logger.warning("%s is damaged (%s), and the decoder guessed the missing pixels; get the file again", name, damage)


def _decode_with_opencv(data: bytes, format: str) -> NDArray[np.generic] | None:
    """Return the pixels as stored, or None if OpenCV cannot decode them; the transparent gray of a PNG is white."""
    transparent = None
    if format == "PNG":
        data, _, transparent = read_png(data)
    pixels: NDArray[np.generic] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.ndim == 2 and transparent is not None:
        white = 255 if pixels.dtype == np.uint8 else 65535
        pixels = np.where(pixels == transparent, white, pixels)
    return pixels


def _eight_bits(pixels: NDArray[np.generic]) -> Image:
    if pixels.dtype == np.uint16:
        return (pixels >> 8).astype(np.uint8)  # type: ignore[operator]
    if pixels.dtype != np.uint8:
        raise ImageError(f"pixels are {pixels.dtype}, expected 8 or 16 bits; convert the image")
    return pixels  # type: ignore[return-value]


def opaque(image: Image, alpha: Alpha) -> Image:
    """Return three channels from gray, BGR or BGRA, with transparency laid over white."""
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.shape[2] == 3 or alpha == "none":
        return image[..., :3]
    color, opacity = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    if alpha == "straight":
        color = (color * opacity + 127) // 255
    return np.minimum(color + 255 - opacity, 255).astype(np.uint8)
