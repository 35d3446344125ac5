"""From the bytes of an image file to its upright pixels: the one decoder that training, prediction and export share."""

import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.header import Header, read_header
from finetune.data.jpeg import decode_jpeg
from finetune.data.png import read_png
from finetune.data.tiff import Alpha
from finetune.errors import ImageError

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]

# OpenCV would print lines of its own beside our message for every damaged file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(
    data: bytes,
    short_side: int | None = None,
    header: Header | None = None,
    on_damage: Callable[[str], object] = lambda damage: None,
) -> Image:
    """Decode JPEG, PNG, WebP, BMP, TIFF or the first frame of a GIF to (height, width, 3) uint8 in BGR order.

    Upright by its EXIF orientation; transparency over white; 16 bits cut to 8; gray, palette and CMYK turned to BGR.
    `short_side` is how many pixels of the short side are needed: a JPEG of at least twice that comes at half, a quarter
    or an eighth of its size, averaged by the decoder. `header`: that of the same data, where it was read before.
    `on_damage` gets the reason when a JPEG is damaged and the decoder has guessed what is missing.
    Raises ImageError with the reason when that is not possible or the picture has over 100 megapixels.
    """
    header = header or read_header(data)
    transparent = None
    try:
        if header.format == "JPEG":
            jpeg = decode_jpeg(data, header.width, header.height, short_side)
            if jpeg and jpeg.damage:
                on_damage(jpeg.damage)
            image: NDArray[np.generic] | None = jpeg and jpeg.image
        else:
            if header.format == "PNG":
                data, _, transparent = read_png(data)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        image = None
    if image is None:
        raise ImageError(f"the {header.format} data is damaged or cut short")
    if image.ndim == 2 and transparent is not None:
        image = np.where(image == transparent, 255 if image.dtype == np.uint8 else 65535, image)
    return _upright(_opaque(_eight_bits(image), header.alpha), header.orientation)


@cache
def warn_of_damage(name: Path | str, damage: str) -> None:
    """Warn that a picture is damaged, once for each."""
    logger.warning("%s is damaged (%s), and the decoder guessed what is missing; get the file again", name, damage)


def _eight_bits(image: NDArray[np.generic]) -> Image:
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)  # type: ignore[operator]
    if image.dtype != np.uint8:
        raise ImageError(f"pixels are {image.dtype}, expected 8 or 16 bits; convert the picture")
    return image  # type: ignore[return-value]


def _opaque(image: Image, alpha: Alpha) -> Image:
    """Return 3 channels from 1, 3 or 4; transparency is laid over white."""
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.shape[2] == 3 or alpha == "none":
        return image[..., :3]
    color, opacity = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    if alpha == "straight":
        color = (color * opacity + 127) // 255
    return np.minimum(color + 255 - opacity, 255).astype(np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation: 2 to 4 mirror or turn by half, 5 to 8 swap the sides as well."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
