"""What an image file says about itself before its pixels are decoded: format, size, orientation.

The limit of 100 megapixels is enforced here, so that a small file with a huge header costs nothing.
"""

import logging
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from finetune.data.exif import read_orientation
from finetune.data.png import read_png
from finetune.data.tiff import Alpha, tiff_alpha
from finetune.errors import ImageError

MAX_PIXELS = 100_000_000  # larger images would need over 300 MB each
FIRST_BYTES = "; the file begins with "  # and then, in an error, those that show what the file is
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"  # of a repository cloned without Git LFS


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do not read the resolution: Pillow fails there on a damaged EXIF block, which does no harm here."""


# Format -> how its files begin, and Pillow's reader of its header. Content decides, never the extension.
_FORMATS: dict[str, tuple[Callable[[bytes], bool], type[ImageFile.ImageFile]]] = {
    "JPEG": (lambda head: head.startswith(b"\xff\xd8\xff"), _JpegFile),
    "PNG": (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), PngImageFile),
    "GIF": (lambda head: head.startswith((b"GIF87a", b"GIF89a")), GifImageFile),
    "WebP": (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", WebPImageFile),
    "BMP": (lambda head: head.startswith(b"BM"), BmpImageFile),
    "TIFF": (lambda head: head.startswith((b"II*\0", b"MM\0*")), TiffImageFile),
}
# Brands, after `ftyp`, of images that are recognized but not read: ISO/IEC 23008-12 (HEIF); AV1 Image File Format.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_UNSUPPORTED = {**dict.fromkeys(_HEIC, "HEIC"), b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}

# Pillow would print its own lines, next to our message, for every damaged file.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What a file says about itself before its pixels are decoded; width and height as stored, before any turn.

    `orientation`: the EXIF orientation that `decode` has to undo; 1 for every TIFF, since OpenCV turns those itself.
    `alpha`: what the fourth channel means. `mode`: the colour model in Pillow's words, such as "RGB", "CMYK", "P".
    """

    format: str
    width: int
    height: int
    orientation: int
    alpha: Alpha
    mode: str


def image_format(head: bytes) -> str | None:
    """Return the format that the first 12 bytes of a file show ("JPEG", "HEIC", …), or None if it is not an image."""
    if head[4:8] == b"ftyp":
        return _UNSUPPORTED.get(head[8:12])
    return next((name for name, (matches, _) in _FORMATS.items() if matches(head)), None)


def read_header(data: bytes) -> Header:
    """Return what the header says, without decoding; raise ImageError for data that cannot be a readable image."""
    if not data:
        raise ImageError("the file is empty")
    if data.startswith(_LFS_POINTER):
        raise ImageError("a Git LFS pointer, not the image; run git lfs pull")
    name = image_format(data[:12])
    if name is None:
        raise ImageError(f"not an image: expected {', '.join(_FORMATS)}{FIRST_BYTES}{data[:8]!r}")
    if name not in _FORMATS:
        raise ImageError(f"{name} is not supported; convert the image to JPEG")
    exif = b""
    if name == "PNG":
        data, exif, _ = read_png(data)
    header, header_end = _read_with_pillow(data, name, exif)
    if header.width * header.height > MAX_PIXELS:
        raise ImageError(
            f"{header.width}×{header.height} pixels are more than the limit of {MAX_PIXELS // 10**6} megapixels; "
            "shrink it"
        )
    # The two bytes of a marker cannot occur in compressed data, so a missing end marker proves that the file is cut.
    if name == "JPEG" and data.find(b"\xff\xd9", header_end) < 0:
        raise ImageError("the JPEG is cut short (no end marker)")
    return header


def _read_with_pillow(data: bytes, name: str, exif: bytes) -> tuple[Header, int]:
    """Return the header and where it ends; `exif`, if any, replaces Pillow's, which misses blocks after the pixels."""
    alpha: Alpha = "straight"
    try:
        # The format's own reader, not PIL.Image.open: that one tries every format and has a different size limit.
        with _FORMATS[name][1](BytesIO(data)) as image:
            header_end = image.fp.tell() if image.fp else 0
            exif = exif or image.info.get("exif", b"")
            if isinstance(image, TiffImageFile):
                alpha = tiff_alpha(image)
            return Header(name, *image.size, read_orientation(exif), alpha, image.mode), header_end
    except ImageError:
        raise
    except DecompressionBombError:
        raise ImageError(f"more pixels than the limit of {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except Exception as error:  # Pillow raises many kinds for a damaged header
        raise ImageError(f"the {name} header is damaged ({error or type(error).__name__})") from None
