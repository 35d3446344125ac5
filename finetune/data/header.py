"""What an image file says of itself before its pixels are decoded: format, size, orientation."""

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

MAX_PIXELS = 100_000_000  # more would need 300 MB for one image; refused by the header


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Look for no resolution: Pillow trips over a damaged EXIF block there, which is harmless to us."""


# What a file begins with -> who reads its header. Content decides, never the extension.
_FORMATS: dict[str, tuple[Callable[[bytes], bool], type[ImageFile.ImageFile]]] = {
    "JPEG": (lambda head: head.startswith(b"\xff\xd8\xff"), _JpegFile),
    "PNG": (lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"), PngImageFile),
    "GIF": (lambda head: head.startswith((b"GIF87a", b"GIF89a")), GifImageFile),
    "WebP": (lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", WebPImageFile),
    "BMP": (lambda head: head.startswith(b"BM"), BmpImageFile),
    "TIFF": (lambda head: head.startswith((b"II*\0", b"MM\0*")), TiffImageFile),
}
# Brands, behind `ftyp`, of pictures that nothing here reads: ISO/IEC 23008-12 (HEIF); AV1 Image File Format.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_UNREAD = {**dict.fromkeys(_HEIC, "HEIC"), b"mif1": "HEIF", b"msf1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}

# Pillow would print lines of its own beside our message for every damaged file.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What a file says of itself before its pixels are decoded; width and height as stored, not as turned.

    `orientation` is what is left to undo: 1 for every TIFF, since OpenCV turns those itself, whatever the mode.
    `mode`: the colour model in Pillow's words, such as "RGB", "CMYK", "P".
    """

    format: str
    width: int
    height: int
    orientation: int
    alpha: Alpha
    mode: str


def image_format(head: bytes) -> str | None:
    """Return the format that the first 12 bytes of a file show ("JPEG", "HEIC", …), or None when it is no image."""
    if head[4:8] == b"ftyp":
        return _UNREAD.get(head[8:12])
    return next((name for name, (matches, _) in _FORMATS.items() if matches(head)), None)


def read_header(data: bytes) -> Header:
    """Return format, size and EXIF orientation without decoding; raise ImageError for what cannot be an image."""
    if not data:
        raise ImageError("the file is empty")
    name = image_format(data[:12])
    if name is None:
        raise ImageError(f"not an image: expected {', '.join(_FORMATS)}, the file begins with {data[:8]!r}")
    if name not in _FORMATS:
        raise ImageError(f"{'an' if name == 'AVIF' else 'a'} {name} picture; convert it to JPEG")
    exif = b""
    alpha: Alpha = "straight"
    if name == "PNG":
        data, exif, _ = read_png(data)
    try:
        # The plug-in itself, not PIL.Image.open: that one tries every format and has another limit of size.
        with _FORMATS[name][1](BytesIO(data)) as image:
            width, height = image.size
            mode = image.mode
            header_end = image.fp.tell() if image.fp else 0
            exif = exif or image.info.get("exif", b"")
            if isinstance(image, TiffImageFile):
                alpha = tiff_alpha(image)
    except ImageError:
        raise
    except DecompressionBombError:
        raise ImageError(f"more pixels than the limit of {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except Exception as error:  # Pillow raises many kinds for a damaged header
        raise ImageError(f"the {name} header is damaged ({error or type(error).__name__})") from None
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{width}×{height} pixels are more than the limit of {MAX_PIXELS // 10**6} megapixels; shrink it"
        )
    # A marker byte pair cannot occur inside the compressed data, so its absence proves a cut.
    if name == "JPEG" and data.find(b"\xff\xd9", header_end) < 0:
        raise ImageError("the JPEG is cut short (no end marker)")
    return Header(name, width, height, read_orientation(exif), alpha, mode)
