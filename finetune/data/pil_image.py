"""PIL images as images: what a script has already opened or drawn; their mode says what the channels are."""

from threading import Lock

import numpy as np
from PIL.Image import Image as PilImage

from finetune.data.channels import Image
from finetune.data.decode import opaque
from finetune.data.exif import read_orientation, upright
from finetune.errors import ImageError

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB")
_loading = Lock()  # Pillow decodes a file on first use, and the same image may be given twice


def pil_to_bgr(image: PilImage) -> Image:
    """Return a PIL image as the decoder returns a file of its mode: upright, (height, width, 3) uint8 in BGR order.

    EXIF orientation is undone, transparency is laid over white, 16 bits are cut to 8. Of an animation, it is the
    current frame. Raises ImageError for modes of 32 bits, and for a file that Pillow cannot decode.
    """
    try:
        with _loading:
            image.load()
    except (OSError, SyntaxError, ValueError) as error:  # truncated, damaged, closed
        raise ImageError(f"Pillow cannot decode it ({error}); open it again") from None
    return upright(_bgr(image), read_orientation(image.info.get("exif", b"")))


def _bgr(image: PilImage) -> Image:
    if image.mode.startswith("I;16"):  # gray
        gray = np.asarray(image)
        if "transparency" in image.info:
            gray = np.where(gray == image.info["transparency"], 65535, gray)
        return opaque((gray >> 8).astype(np.uint8), "none")
    if image.mode not in _MODES:
        raise ImageError(f"its mode {image.mode} is not supported; convert the image to RGB")
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))[..., ::-1]
    rgba = np.asarray(image.convert("RGBA"))
    return opaque(rgba[..., [2, 1, 0, 3]], "straight")
