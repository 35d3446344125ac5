"""PIL images as images: a file that Pillow opened, or what a script drew; their mode says what the channels are."""

from threading import Lock

import cv2
import numpy as np
from PIL.Image import Image as PilImage
from PIL.TiffImagePlugin import TiffImageFile

from finetune.data.channels import Image
from finetune.data.exif import read_orientation, upright
from finetune.data.sixteen_bits import eight_bit_gray
from finetune.data.tiff import refuse_rare_tiff
from finetune.errors import ImageError

_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV", "LAB")
_loading = Lock()  # Pillow decodes a file on first use, and the same image may be given twice


def pil_to_bgr(image: PilImage) -> Image:
    """Return a PIL image as the decoder returns its file: upright, (height, width, 3) uint8 in BGR order.

    EXIF orientation is undone, transparency is laid over white, gray of 16 bits is cut to 8; colour of 16 bits was cut
    by Pillow itself, which has no mode for it. Of an animation, it is the current frame. Raises ImageError for modes of
    32 bits, and for a file that Pillow cannot decode.
    """
    if isinstance(image, TiffImageFile):
        refuse_rare_tiff(image)
    try:
        with _loading:
            image.load()
        pixels = to_bgr(image)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow raises many kinds for an image that is truncated, damaged or closed
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"Pillow cannot decode it ({reason}); open it again") from None
    return upright(pixels, read_orientation(image.info.get("exif") or b""))


def to_bgr(image: PilImage) -> Image:
    """Return the pixels of a decoded PIL image in BGR order, as Pillow has them: not turned upright."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return cv2.cvtColor(eight_bit_gray(image), cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.mode not in _MODES:
        raise ImageError(f"its mode {image.mode} is not supported; convert the image to RGB")
    if not image.has_transparency_data:
        return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)  # type: ignore[return-value]
    return _over_white(image)


def _over_white(image: PilImage) -> Image:
    clear = image.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:  # of 16 bits, where Pillow has cut the pixels to 8
        image = image.copy()
        image.info["transparency"] = tuple(value >> 8 for value in clear)
    if image.mode == "La":  # from which Pillow does not convert to RGBA
        image = image.convert("LA")
    rgba = np.asarray(image.convert("RGBA"))
    if image.format == "BMP" and not rgba[..., 3].any():  # many programs leave the fourth byte 0
        return np.ascontiguousarray(rgba[..., 2::-1])
    color, opacity = rgba[..., 2::-1].astype(np.uint16), rgba[..., 3:].astype(np.uint16)
    return ((color * opacity + 127) // 255 + 255 - opacity).astype(np.uint8)
