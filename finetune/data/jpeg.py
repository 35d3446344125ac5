"""The pixels of a JPEG, and whether its data is damaged: the decoder guesses what is missing, which shows only here."""

from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

# OpenCV's way to decode to a fraction of the size, which costs a fraction of the time.
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
# What libjpeg warns of although no pixel is in doubt; some cameras write such files.
_HARMLESS = ("Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color", "Warning: unknown JFIF")


class Jpeg(NamedTuple):
    """(height, width, 3) uint8 in BGR order, not turned by EXIF; what is damaged, in libjpeg's words, or nothing."""

    image: NDArray[np.uint8]
    damage: str


def decode_jpeg(data: bytes, width: int, height: int, short_side: int | None = None) -> Jpeg | None:
    """Decode a JPEG of this size, or return None where nothing can be read.

    At half, a quarter or an eighth of its size, averaged by the decoder, where the short side keeps `short_side`.
    """
    enough = (n for n in (8, 4, 2) if short_side and min(width, height) >= n * short_side)
    part = next(enough, 1)
    width, height = -(-width // part), -(-height // part)
    size = {"min_width": width, "min_height": height, "min_factor": part}
    try:
        return Jpeg(simplejpeg.decode_jpeg(data, "BGR", **size), "")
    except ValueError as error:
        warning = str(error)
    if "Could not determine subsampling" in warning:  # TurboJPEG has no name for rare samplings of colour
        image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[part] | cv2.IMREAD_IGNORE_ORIENTATION)
        return None if image is None else Jpeg(image, "")  # type: ignore[arg-type]
    # After a warning the decoder also returns what it never came to: only pixels that it has written stay the same.
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
