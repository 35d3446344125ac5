"""What an image file says about itself before its pixels are decoded: format, size, orientation.

The limit of 100 megapixels is enforced here, so that a small file with a huge header costs nothing.
"""

import logging
import re
import warnings
from io import BytesIO
from typing import Any, NamedTuple

from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from finetune.data.bmp import with_usual_masks
from finetune.data.exif import read_orientation
from finetune.data.image_kinds import HEAD_BYTES, IMAGE_KINDS, image_format
from finetune.data.png import read_png
from finetune.data.tiff import refuse_rare_tiff
from finetune.errors import ImageError

MAX_PIXELS = 100_000_000  # larger images would need over 300 MB each
FIRST_BYTES = "; the file begins with "  # and then, in an error, those that show what the file is
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"  # of a repository cloned without Git LFS
_RARE = re.compile("[Uu]nsupported|[Uu]nknown|cannot handle")  # in Pillow's words for a kind that it does not read

# Pillow would print its own lines, next to our message, for every damaged file.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What a file says about itself before its pixels are decoded; width and height as stored, before any turn.

    `orientation`: the EXIF orientation that `decode` has to undo; 1 where Pillow does, for every TIFF and HEIF.
    `mode`: the colour model in Pillow's words, such as "RGB", "CMYK", "P".
    """

    format: str
    width: int
    height: int
    orientation: int
    mode: str


def read_header(data: bytes) -> Header:
    """Return what the header says, without decoding; raise ImageError for data that cannot be a readable image."""
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(_LFS_POINTER):
        raise ImageError("a Git LFS pointer, not the image; run git lfs pull")
    name = image_format(data[:HEAD_BYTES])
    if name is None:
        raise ImageError(f"not an image: expected {', '.join(IMAGE_KINDS)}{FIRST_BYTES}{data[:8]!r}")
    if name not in IMAGE_KINDS:
        raise ImageError(f"{name} is not supported; convert the image to JPEG")
    with open_image(data, name) as image:
        header_end = image.fp.tell() if image.fp else 0
        header = Header(name, *image.size, read_orientation(image.info.get("exif") or b""), image.mode)
        if header.width * header.height > MAX_PIXELS:
            raise ImageError(
                f"{header.width}×{header.height} pixels are more than the limit of {MAX_PIXELS // 10**6} megapixels; "
                "shrink it"
            )
        if isinstance(image, TiffImageFile):
            refuse_rare_tiff(image)
    # The two bytes of a marker cannot occur in compressed data, so a missing end marker proves that the file is cut.
    if name in ("JPEG", "JPEG 2000") and data.find(b"\xff\xd9", header_end) < 0:
        raise ImageError(f"the {name} is cut short (no end marker)")
    return header


def open_image(data: bytes, name: str) -> ImageFile:
    """Return Pillow's image of a file of this format, not decoded yet; raise ImageError if Pillow cannot open it.

    For a PNG, `info` has its EXIF block, which may come after the pixels, and as `sbit` its bits of meaning.
    """
    extra: dict[str | tuple[int, int], Any] = {}
    if name == "PNG":
        data, exif, bits, transparent = read_png(data)
        extra = {"exif": exif, "sbit": bits, **({} if transparent is None else {"transparency": transparent})}
    if name == "BMP":
        data = with_usual_masks(data)
    try:
        # The format's own reader, not PIL.Image.open: that one tries every format and has a different size limit.
        image = IMAGE_KINDS[name].reader(BytesIO(data))
    except ImageError:
        raise
    except DecompressionBombError:
        raise ImageError(f"more pixels than the limit of {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises many kinds for a damaged header
        reason = " ".join(str(error).split()) or type(error).__name__  # libheif's messages end with a line break
        if _RARE.search(reason):
            raise ImageError(f"this kind of {name} is not supported ({reason}); convert the image") from None
        raise ImageError(f"the {name} header is damaged ({reason})") from None
    image.info.update(extra)
    return image
