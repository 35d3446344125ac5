"""Which TIFFs OpenCV reads rightly, and what their fourth channel is."""

from typing import Literal

from PIL.TiffImagePlugin import TiffImageFile

from finetune.errors import ImageError

Alpha = Literal["straight", "premultiplied", "none"]  # what OpenCV's fourth channel is; "none": no transparency

_BITS, _PHOTOMETRIC, _PLANES, _EXTRA_SAMPLES = 258, 262, 284, 338  # TIFF 6.0, appendix A


def tiff_alpha(image: TiffImageFile) -> Alpha:
    """Return what OpenCV's fourth channel is; raise ImageError for the kinds of TIFF that it reads wrongly."""
    sixteen_bits = 16 in image.tag_v2.get(_BITS, ())
    if sixteen_bits and (image.tag_v2.get(_PLANES) == 2 or image.tag_v2.get(_PHOTOMETRIC) == 0):
        raise ImageError("a TIFF of 16 bits in planes or with white as 0 is not supported; convert the picture")
    if image.mode in ("LA", "La"):
        raise ImageError("a gray TIFF with transparency is not supported; convert the picture")
    match image.tag_v2.get(_EXTRA_SAMPLES):
        case None if image.mode == "RGBA":
            return "straight"
        case (1, *_):
            return "premultiplied"
        case (2, *_):
            return "straight" if sixteen_bits else "premultiplied"  # OpenCV multiplies 8 bits itself
        case _:
            return "none"  # 0 is a channel without meaning, such as a saved selection
