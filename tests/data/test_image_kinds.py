"""Formats by how files begin: those that are read, those that are only named, and files that are no images."""

import re

import pytest
from support.encoded_images import RGB, encode

from finetune.data.header import read_header
from finetune.data.image_kinds import IMAGE_EXTENSIONS, image_format
from finetune.errors import ImageError

FTYP = b"\0\0\0\x1cftyp"


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"GIF87a", "GIF"),
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
        (b"P1\n# made by hand\n2 2", "PNM"),
        (b"P3 2 2 255 ", "PNM"),
        (b"P6\r\n640 480", "PNM"),
        (b"\xffO\xffQ\0", "JPEG 2000"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_formats_that_begin_in_several_ways(head: bytes, format: str) -> None:
    assert image_format(head) == format


@pytest.mark.parametrize(
    ("brands", "format"),
    [
        (b"heic\0\0\0\0mif1heic", "HEIF"),
        (b"heix\0\0\0\0mif1heix", "HEIF"),
        (b"mif1\0\0\0\0mif1heic", "HEIF"),
        (b"avif\0\0\0\0mif1miaf", "AVIF"),
        (b"avis\0\0\0\0msf1iso8", "AVIF"),
        (b"mif1\0\0\0\0avifmiaf", "AVIF"),
        (b"crx \0\0\0\1crx isom", "camera raw (CR3)"),
        (b"isom\0\0\0\0mp42avc1", None),
    ],
)
def test_brands(brands: bytes, format: str | None) -> None:
    assert image_format(FTYP + brands) == format


def test_brands_end_with_their_box() -> None:
    assert image_format(b"\0\0\0\x14ftypisom\0\0\0\0mp42avif") is None


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"IIRO\x08\0", "camera raw"),
        (b"IIU\0\x18\0", "camera raw"),
        (b"FUJIFILMCCD-RAW ", "camera raw"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
        (b"qoif", "QOI"),
        (b"P7\nWIDTH 2", "PAM"),
        (b"\0\0\1\0\1\0", "icon"),
        (b"<svg xmlns=", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0' standalone='no'?>\n<!-- made by hand -->\n<svg xmlns=", "SVG"),
        (b"\xff\xd8\xff\xf7\0\x0b\x08", "JPEG-LS"),
        (b"II\xbc\1\x20\0", "JPEG XR"),
        (b"PF\n640 480\n-1.0\n", "PFM"),
        (b"\n\5\1\x08\0\0", "PCX"),
        (b"\1\xda\0\1\0\3", "SGI"),
        (b"DDS |\0\0\0", "DDS"),
        (encode(RGB, "TGA"), "TGA"),
        (encode(RGB.convert("P"), "TGA"), "TGA"),
        (encode(RGB.convert("L"), "TGA", compression="tga_rle"), "TGA"),
        (b"gimp xcf v011", "GIMP"),
        (bytes(128) + b"DICM", "DICOM"),
        (b"SIMPLE  =                    T", "FITS"),
    ],
)
def test_images_that_are_not_read_are_named(head: bytes, format: str) -> None:
    assert image_format(head) == format
    with pytest.raises(ImageError, match=f"^{re.escape(format)} is not supported; convert the image to JPEG$"):
        read_header(head + bytes(60))


@pytest.mark.parametrize(
    "head",
    [
        *(FTYP + b"isom", b"RIFF\0\0\0\0WAVE", b"GIF88a", b"%PDF-1.7", b"<?xml version='1.0'?><note/>"),
        *(b"P5 is a station", b"P61 2", b"P8 2 2", b""),
        *(bytes(300), b"\0\0\2" + bytes(9) + b"\1\0\1\0\x07\0", b"\0\0\x08\3\0\0\0\5" + bytes(200)),
    ],
)
def test_other_files_are_not_images(head: bytes) -> None:
    assert image_format(head) is None


def test_extensions_of_formats_that_are_read_and_of_others() -> None:
    assert {".jpg", ".ppm", ".pgm", ".jp2", ".avif", ".heic"} < IMAGE_EXTENSIONS
    assert {".dcm", ".dds", ".fits", ".jls", ".xcf"} < IMAGE_EXTENSIONS
    assert {".cr2", ".nef", ".dng", ".tga", ".ico", ".pcx", ".svg", ".jxl"} < IMAGE_EXTENSIONS
    assert not {".txt", ".csv", ".json", ".xml", ".mp4", ".npy", ""} & IMAGE_EXTENSIONS


def test_heic_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    reason = r"^reading HEIC needs pi-heif; pip install 'pi-heif>=1\.1', or convert the image to JPEG$"
    with pytest.raises(ImageError, match=reason):
        read_header(FTYP + b"heic\0\0\0\0mif1heic" + bytes(40))


def test_the_content_counts_and_not_the_brand_of_another_kind() -> None:
    assert image_format(encode(RGB, "AVIF")[:64]) == "AVIF"
