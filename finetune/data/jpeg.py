"""The pixels of a JPEG, and whether its data is damaged; the decoder guesses missing pixels, which only shows here."""

from typing import NamedTuple

import numpy as np
import simplejpeg

from finetune.data.channels import Image
from finetune.data.header import open_image
from finetune.data.pil_image import to_bgr

# libjpeg's warnings that put no pixel in doubt; some cameras write such files.
_HARMLESS = (
    *("Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color", "Warning: unknown JFIF"),
    *("Corrupt JPEG data: bad ICC marker", "Could not determine subsampling", "Unsupported color conversion request"),
)


class Jpeg(NamedTuple):
    """(height, width, 3) uint8 in BGR order, not yet turned by EXIF; the damage in libjpeg's words, or ""."""

    image: Image
    damage: str


def decode_jpeg(data: bytes, width: int, height: int, short_side: int | None = None) -> Jpeg | None:
    """Decode a JPEG of this size, or return None if it cannot be decoded.

    It is decoded to 1/2, 1/4 or 1/8 of its size, averaged by the decoder, if the short side keeps `short_side` pixels.
    """
    ratio = next((n for n in (8, 4, 2) if short_side and min(width, height) >= n * short_side), 1)
    smaller = -(-width // ratio), -(-height // ratio)
    size = {"min_width": smaller[0], "min_height": smaller[1], "min_factor": ratio}
    try:
        return Jpeg(simplejpeg.decode_jpeg(data, "BGR", **size), "")
    except ValueError as error:
        warning = str(error)
    damage = "" if warning.startswith(_HARMLESS) else warning.removeprefix("Corrupt JPEG data: ")
    # After a warning, the decoder may return pixels that it never wrote; those differ between two different buffers.
    try:
        black, white = (
            simplejpeg.decode_jpeg(
                data, "BGR", strict=False, buffer=np.full(3 * smaller[0] * smaller[1], fill, np.uint8), **size
            )
            for fill in (0, 255)
        )
    except ValueError:  # also for what is only unusual before the pixels: bytes between segments, rare subsampling
        image = _by_pillow(data, width // ratio, height // ratio)
        return None if image is None else Jpeg(image, damage)
    return Jpeg(black, damage) if np.array_equal(black, white) else None


def _by_pillow(data: bytes, width: int, height: int) -> Image | None:
    """Return the pixels, reduced to no less than this size; None if they are damaged, about which Pillow is strict."""
    with open_image(data, "JPEG") as image:
        image.draft(None, (width, height))  # None: in the mode that the file has
        try:
            return to_bgr(image)
        except MemoryError:
            raise
        except Exception:  # Pillow raises many kinds for damaged data
            return None
