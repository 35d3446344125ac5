"""What the tags of a TIFF say about its pixels, and which TIFFs Pillow would read wrongly."""

from typing import Any

from PIL.Image import Image as PilImage
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COMPRESSION,
    IMAGELENGTH,
    IMAGEWIDTH,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    TiffImageFile,
)

from finetune.errors import ImageError

_SUBFILE, _MAX_SAMPLE, _DNG_VERSION = 254, 281, 50706  # TIFF 6.0, appendix A; DNG 1.4


def refuse_rare_tiff(image: TiffImageFile) -> None:
    """Raise ImageError for the kinds of TIFF that Pillow would read wrongly, and for those with parts missing."""
    tags = image.tag_v2
    if _DNG_VERSION in tags or _number(image, _SUBFILE, 0) & 1:  # the first image of a raw file is a thumbnail
        raise ImageError("camera raw is not supported; convert the image to JPEG")
    if 2 in tags.get(SAMPLEFORMAT, ()) and image.mode not in ("I", "F"):
        raise ImageError("a TIFF with signed values is not supported; convert the image")
    raw_planes = _number(image, PLANAR_CONFIGURATION, 1) == 2 and _number(image, COMPRESSION, 1) == 1
    if raw_planes and 16 in tags.get(BITSPERSAMPLE, ()):
        raise ImageError("an uncompressed 16-bit TIFF in planes is not supported; convert the image")
    layers = _number(image, SAMPLESPERPIXEL, 1) if raw_planes else 1
    if _covered(image) < layers * image.width * image.height:
        raise ImageError("the TIFF is cut short (parts of the image are missing)")


def _number(image: TiffImageFile, tag: int, default: int) -> int:
    """Return the number in a tag, or the default if it is missing or of another kind."""
    value: Any = image.tag_v2.get(tag)
    return value if isinstance(value, int) else default


def _covered(image: TiffImageFile) -> int:
    """Return how many pixels, of every plane, are in the parts that the file lists; Pillow leaves the others black."""
    parts = (part.extents or (0, 0, 0, 0) for part in image.tile)
    width, height = image.tag_v2[IMAGEWIDTH], image.tag_v2[IMAGELENGTH]  # image.size is that after a turn
    return sum((min(right, width) - left) * (min(bottom, height) - top) for left, top, right, bottom in parts)


def white_is_zero(image: PilImage) -> bool:
    """Return whether 0 is white in a TIFF; Pillow inverts 8 bits itself, but not 16."""
    return isinstance(image, TiffImageFile) and _number(image, PHOTOMETRIC_INTERPRETATION, 1) == 0


def bits_of_tiff(image: TiffImageFile) -> int:
    """Return how many bits the tags say that a sample uses: 12 in each of 12 bits, or of 16 with a largest value."""
    largest = image.tag_v2.get(_MAX_SAMPLE, ())
    stored = max(image.tag_v2.get(BITSPERSAMPLE, (16,)))
    return min(stored, max((int(value).bit_length() for value in largest), default=16), 16)
