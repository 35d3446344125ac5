"""What the tags of a TIFF say about its pixels, and which TIFFs Pillow would read wrongly."""

from PIL.Image import Image as PilImage
from PIL.TiffImagePlugin import TiffImageFile

from finetune.errors import ImageError

# TIFF 6.0, appendix A; DNG 1.4 for the last
_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _MAXIMUM, _PLANES, _FORMAT, _DNG = 254, 258, 259, 262, 281, 284, 339, 50706


def refuse_rare_tiff(image: TiffImageFile) -> None:
    """Raise ImageError for the kinds of TIFF that Pillow would read wrongly."""
    tags = image.tag_v2
    if _DNG in tags or tags.get(_SUBFILE, 0) & 1:  # the first image of a raw file is a thumbnail
        raise ImageError("camera raw is not supported; convert the image to JPEG")
    if 2 in tags.get(_FORMAT, ()) and image.mode not in ("I", "F"):
        raise ImageError("a TIFF with signed values is not supported; convert the image")
    if tags.get(_PLANES) == 2 and 16 in tags.get(_BITS, ()) and tags.get(_COMPRESSION, 1) == 1:
        raise ImageError("an uncompressed 16-bit TIFF in planes is not supported; convert the image")


def white_is_zero(image: PilImage) -> bool:
    """Return whether 0 is white in a TIFF; Pillow inverts 8 bits itself, but not 16."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


def bits_of_tiff(image: TiffImageFile) -> int:
    """Return how many bits the tags say that a sample uses: 12 in each of 12 bits, or of 16 with a largest value."""
    largest = image.tag_v2.get(_MAXIMUM, ())
    return min(max(image.tag_v2.get(_BITS, (16,))), *(int(value).bit_length() for value in largest), 16)
