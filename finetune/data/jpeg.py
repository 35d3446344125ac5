"""The pixels of a JPEG, and whether its data is damaged; the decoder guesses missing pixels, which only shows here."""

from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg

from finetune.data.channels import Image

# OpenCV's flags to decode to a fraction of the size, which takes a fraction of the time.
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# libjpeg's warnings that put no pixel in doubt; some cameras write such files.
_HARMLESS = ("Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color", "Warning: unknown JFIF")


class Jpeg(NamedTuple):
    """(height, width, 3) uint8 in BGR order, not yet turned by EXIF; the damage in libjpeg's words, or ""."""

    image: Image
    damage: str


def decode_jpeg(data: bytes, width: int, height: int, short_side: int | None = None) -> Jpeg | None:
    """Decode a JPEG of this size, or return None if it cannot be decoded.

    It is decoded to 1/2, 1/4 or 1/8 of its size, averaged by the decoder, if the short side keeps `short_side` pixels.
    """
    ratio = next((n for n in (8, 4, 2) if short_side and min(width, height) >= n * short_side), 1)
    width, height = -(-width // ratio), -(-height // ratio)
    size = {"min_width": width, "min_height": height, "min_factor": ratio}
    try:
        return Jpeg(simplejpeg.decode_jpeg(data, "BGR", **size), "")
    except ValueError as error:
        warning = str(error)
    if "Could not determine subsampling" in warning:  # TurboJPEG does not know rare chroma subsamplings
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[ratio] | cv2.IMREAD_IGNORE_ORIENTATION)
        return None if image is None else Jpeg(image, "")  # type: ignore[arg-type]
    # After a warning, the decoder may return pixels that it never wrote; those differ between two different buffers.
    try:
        black, white = (
            simplejpeg.decode_jpeg(
                data, "BGR", strict=False, buffer=np.full(3 * width * height, fill, np.uint8), **size
            )
            for fill in (0, 255)
        )
    except ValueError:
        return None
    if not np.array_equal(black, white):
        return None
    return Jpeg(black, "" if warning.startswith(_HARMLESS) else warning.removeprefix("Corrupt JPEG data: "))
