"""Samples of 9 to 16 bits as 8: scaled by what the file says, otherwise cut."""

import sys

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as PilImage
from PIL.Image import fromarray
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from finetune.data.channels import Image
from finetune.data.tiff import bits_of_tiff, white_is_zero

# Pillow cuts colour to the high bytes; asked for the other byte order, it returns the low ones. Its names for
# the orders are B, L, and N for that of this machine, which libtiff returns.
_NATIVE = {"little": "L", "big": "B"}[sys.byteorder]
_OTHER = {"B": "L", "L": "B", "N": "BL".replace(_NATIVE, "")}
_MODES = ("RGB", "RGBA", "RGBX", "CMYK")
_LOW_BYTES = {f"{mode};16{order}": f"{mode};16{other}" for mode in _MODES for order, other in _OTHER.items()}


def has_16_bits(image: ImageFile) -> bool:
    """Return whether a file that is not decoded yet stores samples of 16 bits."""
    return ";16" in repr(image.tile)  # in Pillow's names for how pixels are stored


def eight_bit_gray(image: PilImage) -> Image:
    """Return gray of 16 bits, (height, width), cut to 8, or of fewer, if the file says so and no value needs more."""
    gray: NDArray[np.integer] = np.asarray(image)
    bits = _bits(image)
    bits = bits if gray.max() < 2**bits else 16
    white = 2**bits - 1
    if white_is_zero(image):
        gray = white - gray
    if "transparency" in image.info:
        gray = np.where(gray == image.info["transparency"], white, gray)
    return (gray >> (bits - 8)).astype(np.uint8)


def eight_bit_colour(image: ImageFile, again: ImageFile) -> PilImage:
    """Return a decoded file whose colour of 16 bits Pillow cut to 8, or of fewer, if the file says so, scaled to 8.

    `again`: the same file, not decoded yet. As it is where a value needs more bits than the file says, and for gray
    with transparency or premultiplied colour, whose low bytes Pillow does not return.
    """
    bits = _bits(image)
    if bits == 16 or not _ask_for_low_bytes(again):
        return image
    again.load()
    values = np.asarray(image).astype(np.uint16) << 8 | np.asarray(again)
    if values.max() >= 2**bits:
        return image
    scaled = fromarray((values >> (bits - 8)).astype(np.uint8), image.mode)
    if isinstance(clear := image.info.get("transparency"), tuple):
        scaled.info["transparency"] = tuple(value >> (bits - 8) for value in clear)
    return scaled


def _bits(image: PilImage) -> int:
    """Return how many bits of 16 the file says that a sample uses, 9 to 16."""
    bits = bits_of_tiff(image) if isinstance(image, TiffImageFile) else image.info.get("sbit", 16)
    return bits if 8 < bits < 16 else 16


def _ask_for_low_bytes(image: ImageFile) -> bool:
    """Have a file decoded to the low bytes of its samples, not the high ones; return False if that is not possible."""
    tiles = []
    for tile in image.tile:
        stored, *more = [tile.args] if isinstance(tile.args, str) else tile.args or [""]
        if stored not in _LOW_BYTES:
            return False
        low = _LOW_BYTES[stored]
        tiles.append(tile._replace(args=(low, *more) if more else low))
    image.tile = tiles
    return True
