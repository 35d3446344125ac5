"""Which TIFFs OpenCV reads correctly, and what their fourth channel means."""

from typing import Literal

from PIL.TiffImagePlugin import TiffImageFile

from finetune.errors import ImageError

Alpha = Literal["straight", "premultiplied", "none"]  # of OpenCV's fourth channel; "none": it is not transparency

_BITS, _PHOTOMETRIC, _PLANES, _EXTRA_SAMPLES = 258, 262, 284, 338  # TIFF 6.0, appendix A


def tiff_alpha(image: TiffImageFile) -> Alpha:
    """Return what OpenCV's fourth channel means; raise ImageError for the kinds of TIFF that it reads wrongly."""
    sixteen_bits = 16 in image.tag_v2.get(_BITS, ())
    if sixteen_bits and (image.tag_v2.get(_PLANES) == 2 or image.tag_v2.get(_PHOTOMETRIC) == 0):
        raise ImageError("a 16-bit TIFF in planes or with white as 0 is not supported; convert the image")
    if image.mode in ("LA", "La"):
        raise ImageError("a gray TIFF with transparency is not supported; convert the image")
    match image.tag_v2.get(_EXTRA_SAMPLES):
        case None if image.mode == "RGBA":
            return "straight"
        case (1, *_):
            return "premultiplied"
        case (2, *_):
            return "straight" if sixteen_bits else "premultiplied"  # OpenCV multiplies 8-bit pixels itself
        case _:
            return "none"  # 0: a channel of unspecified meaning, such as a saved selection
