"""From the bytes of a picture to network input: the one path that training, prediction and export share."""

import logging
import os
import stat
import struct
import warnings
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from finetune.data.augment import LEVELS, Augmentation, draw_part, vary
from finetune.data.idx import idx_place, image_bytes
from finetune.data.jpeg import decode_jpeg
from finetune.data.png import read_png
from finetune.data.preprocessing import Preprocessing
from finetune.data.tiff import Alpha, tiff_alpha
from finetune.errors import ImageError

logger = logging.getLogger(__name__)

Image = NDArray[np.uint8]

MAX_PIXELS = 100_000_000  # more would need 300 MB for one picture; refused by the header
MAX_BYTES = 1 << 30  # of one file: MAX_PIXELS of 16 bits in four channels, uncompressed, are 800 MB
_EXIF_ORIENTATION = 0x0112  # Exif 2.3, table 4


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

# OpenCV and Pillow would print lines of their own beside our message for every broken file.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
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
    return Header(name, width, height, _orientation(exif), alpha, mode)


def decode(
    data: bytes,
    short_side: int | None = None,
    header: Header | None = None,
    on_damage: Callable[[str], object] = lambda damage: None,
) -> Image:
    """Decode JPEG, PNG, WebP, BMP, TIFF or the first frame of a GIF to (height, width, 3) uint8 in BGR order.

    Upright by its EXIF orientation; transparency over white; 16 bits cut to 8; gray, palette and CMYK turned to BGR.
    `short_side` is how many pixels of the short side are needed: a JPEG of at least twice that comes at half, a quarter
    or an eighth of its size, averaged by the decoder. `header`: that of the same data, where it was read before.
    `on_damage` gets the reason when a JPEG is damaged and the decoder has guessed what is missing.
    Raises ImageError with the reason when that is not possible or the picture has over 100 megapixels.
    """
    header = header or read_header(data)
    transparent = None
    try:
        if header.format == "JPEG":
            jpeg = decode_jpeg(data, header.width, header.height, short_side)
            if jpeg and jpeg.damage:
                on_damage(jpeg.damage)
            image: NDArray[np.generic] | None = jpeg and jpeg.image
        else:
            if header.format == "PNG":
                data, _, transparent = read_png(data)
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from None
        image = None
    if image is None:
        raise ImageError(f"the {header.format} data is damaged or cut short")
    if image.ndim == 2 and transparent is not None:
        image = np.where(image == transparent, 255 if image.dtype == np.uint8 else 65535, image)
    return _upright(_opaque(_eight_bits(image), header.alpha), header.orientation)


def read_image(path: Path, short_side: int | None = None) -> Image:
    """Read and decode a file, as `decode`; raise ImageError when it cannot be opened. Damage is told once a file."""
    return decode(read_bytes(path), short_side, on_damage=partial(tell_damage, path))


@cache
def tell_damage(name: Path | str, damage: str) -> None:
    """Warn that a picture is damaged, once for each."""
    logger.warning("%s is damaged (%s), and the decoder guessed what is missing; get the file again", name, damage)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, or of one image in an IDX file, as a BMP, when the path is `FILE#NUMBER`.

    Raises ImageError when it cannot be opened.
    """
    if place := idx_place(path):
        return image_bytes(*place)
    try:
        found = os.stat(path)  # noqa: PTH116 (before opening: a pipe would wait for somebody to write)
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise ImageError("no regular file; give a file that holds a picture")
        if found.st_size > MAX_BYTES:
            raise ImageError(f"more than the limit of {MAX_BYTES >> 20} MB; shrink it")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"cannot be opened ({error.strerror})") from None
    except ValueError:  # a NUL in the name
        raise ImageError("cannot be opened (no such name can be)") from None


def read_input(path: Path, preprocessing: Preprocessing) -> Image | ImageError:
    """Return the network input of a file, as `to_input`, or the error that says why it cannot be read."""
    try:
        return to_input(read_image(path, preprocessing.short_side), preprocessing)
    except ImageError as error:
        return error


def to_input(
    image: Image,
    preprocessing: Preprocessing,
    generator: np.random.Generator | None = None,
    augmentation: Augmentation = LEVELS["light"],
) -> Image:
    """Return the network's square input as uint8 (size, size, channels) from a BGR image; the mean is still in.

    Without a generator it is the centre of the picture, as in use. From a generator is drawn what the augmentation
    changes, always in the same order.
    """
    side = preprocessing.size
    if generator and augmentation.crop == "resized":
        square = resize(draw_part(image, generator), side, side)
    elif preprocessing.resize == "warp":
        square = resize(image, side, side)
    else:
        image = _without_ends(image)
        height, width = image.shape[:2]
        scale = preprocessing.resize_to / min(height, width)
        resized = resize(image, max(side, round(width * scale)), max(side, round(height * scale)))
        free = resized.shape[0] - side, resized.shape[1] - side
        drawn = generator if augmentation.crop == "random" else None
        top, left = (drawn.integers(n + 1) if drawn else n // 2 for n in free)
        square = resized[top : top + side, left : left + side]
    if generator:
        square = vary(square, augmentation, generator)
    match preprocessing.channel_order:
        case "RGB":
            return np.ascontiguousarray(square[..., ::-1])
        case "GRAY":
            return cv2.cvtColor(np.ascontiguousarray(square), cv2.COLOR_BGR2GRAY)[..., None]  # type: ignore[return-value]
        case _:
            return np.ascontiguousarray(square)


def _without_ends(image: Image) -> Image:
    """Return the middle of a very long picture: 1 × 3000 pixels would else grow to 256 × 768,000 before the crop."""
    height, width = image.shape[:2]
    longest = 4 * min(height, width)  # the crop needs once the short side; an ordinary picture stays as it is
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : height - top, left : width - left]


def resize(image: Image, width: int, height: int) -> Image:
    """Resize to width × height: area averages to shrink (no aliasing), linear to enlarge."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def _orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in an EXIF block; 1 when there is none or the block is damaged."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = ">" if tiff.startswith(b"MM") else "<"
    try:
        (start,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(order + "HHIH", tiff, at)
            if tag == _EXIF_ORIENTATION:
                return value if value in range(1, 9) else 1
    except struct.error:  # a damaged block says nothing
        pass
    return 1


def _eight_bits(image: NDArray[np.generic]) -> Image:
    if image.dtype == np.uint16:
        return (image >> 8).astype(np.uint8)  # type: ignore[operator]
    if image.dtype != np.uint8:
        raise ImageError(f"pixels are {image.dtype}, expected 8 or 16 bits; convert the picture")
    return image  # type: ignore[return-value]


def _opaque(image: Image, alpha: Alpha) -> Image:
    """Return 3 channels from 1, 3 or 4; transparency is laid over white."""
    if image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)  # type: ignore[return-value]
    if image.shape[2] == 3 or alpha == "none":
        return image[..., :3]
    color, opacity = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
    if alpha == "straight":
        color = (color * opacity + 127) // 255
    return np.minimum(color + 255 - opacity, 255).astype(np.uint8)


def _upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation: 2 to 4 mirror or turn by half, 5 to 8 swap the sides as well."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
