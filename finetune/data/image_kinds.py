"""The image formats: how their files begin, Pillow's reader of each, and extensions; also those that are not read."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from finetune.errors import ImageError
from finetune.system.extras import needs

HEAD_BYTES = 256  # of a file: enough for every test below


class ImageKind(NamedTuple):
    """How files of a format begin, Pillow's reader of them, and their extensions."""

    begins: Callable[[bytes], bool]
    reader: Callable[[BytesIO], ImageFile]
    extensions: tuple[str, ...]


class _JpegFile(JpegImageFile):
    def _read_dpi_from_exif(self) -> None:
        """Do not read the resolution: Pillow fails there on a damaged EXIF block, which does no harm here."""


def _heif_file(data: BytesIO) -> ImageFile:
    try:
        from pi_heif import HeifImageFile
    except ImportError:
        raise ImageError(f"reading HEIC {needs('pi_heif')}, or convert the image to JPEG") from None
    return HeifImageFile(data)


def _starts(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _has_brand(*brands: bytes) -> Callable[[bytes], bool]:
    """Return a test for the brands of ISO/IEC 14496-12: the major one, then, after a version, compatible ones."""

    def begins(head: bytes) -> bool:
        box = head[: int.from_bytes(head[:4])]
        named = {box[8:12], *(box[at : at + 4] for at in range(16, len(box), 4))}
        return head[4:8] == b"ftyp" and not named.isdisjoint(brands)

    return begins


_LS = b"\xf7"  # the start of a frame of JPEG-LS, in place of one of JPEG

# Content decides, never the extension. AVIF is before HEIF, since AVIF files may name HEIF's general brand too.
IMAGE_KINDS = {
    "JPEG": ImageKind(
        lambda head: head.startswith(b"\xff\xd8\xff") and head[3:4] != _LS,
        _JpegFile,
        (".jpg", ".jpeg", ".jpe", ".jfif"),
    ),
    "PNG": ImageKind(_starts(b"\x89PNG\r\n\x1a\n"), PngImageFile, (".png",)),
    "GIF": ImageKind(_starts(b"GIF87a", b"GIF89a"), GifImageFile, (".gif",)),
    "WebP": ImageKind(lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP", WebPImageFile, (".webp",)),
    "BMP": ImageKind(_starts(b"BM"), BmpImageFile, (".bmp", ".dib")),
    "TIFF": ImageKind(_starts(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImageFile, (".tif", ".tiff")),
    "PNM": ImageKind(
        lambda head: re.match(rb"P[1-6]\s\s*[#\d]", head) is not None, PpmImageFile, (".ppm", ".pgm", ".pbm", ".pnm")
    ),
    "JPEG 2000": ImageKind(
        _starts(b"\0\0\0\x0cjP  ", b"\xffO\xffQ"), Jpeg2KImageFile, (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx")
    ),
    "AVIF": ImageKind(_has_brand(b"avif", b"avis"), AvifImageFile, (".avif", ".avifs")),
    "HEIF": ImageKind(
        _has_brand(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"),
        _heif_file,
        (".heic", ".heif", ".hif"),
    ),
}


def _is_tga(head: bytes) -> bool:
    """Return whether a file begins like a TGA, which has no magic number: with a header whose every field is valid."""
    palette, kind, width, height = head[1:2], head[2:3], head[12:14], head[14:16]
    valid = len(head) >= 18 and kind in _TGA_KINDS and (palette == b"\1" or palette + head[3:8] == bytes(6))
    return valid and b"\0\0" not in (width, height) and head[16] in (8, 15, 16, 24, 32) and not head[17] & 0xC0


_TGA_KINDS = (b"\1", b"\2", b"\3", b"\x09", b"\x0a", b"\x0b")  # palette, colour and gray; from 9 with run lengths

# Images that are not read, by how they begin: found among the others and reported, never omitted silently.
_UNREAD = {
    "camera raw": _starts(b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILM", b"FOVb"),
    "camera raw (CR3)": _has_brand(b"crx "),
    "JPEG-LS": _starts(b"\xff\xd8\xff" + _LS),
    "JPEG XR": _starts(b"II\xbc"),
    "JPEG XL": _starts(b"\xff\x0a", b"\0\0\0\x0cJXL "),
    "Photoshop": _starts(b"8BPS"),
    "OpenEXR": _starts(b"\x76\x2f\x31\x01"),
    "QOI": _starts(b"qoif"),
    "PAM": _starts(b"P7\n"),
    "PFM": _starts(b"PF\n", b"Pf\n"),
    "PCX": _starts(b"\n\5\1\1", b"\n\5\1\2", b"\n\5\1\4", b"\n\5\1\x08"),
    "SGI": _starts(b"\1\xda\0\1", b"\1\xda\1\1"),
    "DDS": _starts(b"DDS |\0\0\0"),
    "GIMP": _starts(b"gimp xcf "),
    "DICOM": lambda head: head[128:132] == b"DICM",
    "FITS": _starts(b"SIMPLE  ="),
    "icon": _starts(b"\0\0\1\0"),
    "TGA": _is_tga,
    "SVG": lambda head: head.lstrip(b"\xef\xbb\xbf \r\n").startswith((b"<svg", b"<?xml")) and b"<svg" in head,
}
_UNREAD_EXTENSIONS = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".kdc", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf"),
    *(".rw2", ".sr2", ".srw", ".x3f"),  # of cameras
    *(".dcm", ".dds", ".exr", ".fit", ".fits", ".ico", ".jls", ".jxl", ".jxr", ".pam", ".pcx", ".pfm", ".psd", ".qoi"),
    *(".sgi", ".svg", ".tga", ".wdp", ".xcf"),
)
IMAGE_EXTENSIONS = frozenset((*(e for kind in IMAGE_KINDS.values() for e in kind.extensions), *_UNREAD_EXTENSIONS))


def image_format(head: bytes) -> str | None:
    """Return the format that the first HEAD_BYTES of a file show ("JPEG", "camera raw", …), or None if no image."""
    tests = {name: kind.begins for name, kind in IMAGE_KINDS.items()} | _UNREAD
    return next((name for name, begins in tests.items() if begins(head)), None)
