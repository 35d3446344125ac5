"""The EXIF orientation in a graph: what Pillow wrote, and for damaged blocks what `finetune.data.exif` reads."""

import struct
from collections.abc import Callable

import pytest
import tensorflow as tf
from PIL import Image
from support.encoded_images import RGB, encode

from finetune.data.exif import read_orientation
from finetune.export.tf_exif import jpeg_orientation, png_orientation, webp_orientation

Orientation = Callable[[bytes], int]


@pytest.fixture(scope="module")
def orientation_of() -> dict[str, Orientation]:
    """For each format a function that reads the orientation in a graph, as it is exported."""

    def compiled(function: Callable[[tf.Tensor], tf.Tensor]) -> Orientation:
        graph = tf.function(function, input_signature=[tf.TensorSpec((), tf.string)], autograph=False)
        return lambda data: int(graph(tf.constant(data)))

    return {"JPEG": compiled(jpeg_orientation), "PNG": compiled(png_orientation), "WEBP": compiled(webp_orientation)}


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def tiff_block(order: str, orientation: int, *, start: int = 8, count: int = 2, long: bool = False) -> bytes:
    """Return an EXIF block with one tag before the orientation, which is of type 3, or 4 if `long`."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start)
    value = struct.pack(order + "I", orientation) if long else struct.pack(order + "HH", orientation, 0)
    entries = struct.pack(order + "HHIHH", 0x010F, 3, 1, 6, 0)
    entries += struct.pack(order + "HHI", 0x0112, 4 if long else 3, 1) + value
    return head + struct.pack(order + "H", count) + entries + bytes(4)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation_of: dict[str, Orientation], format: str, orientation: int) -> None:
    assert orientation_of[format](encode(RGB, format, exif=exif(orientation))) == orientation


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_none_is_upright(orientation_of: dict[str, Orientation], format: str) -> None:
    assert orientation_of[format](encode(RGB, format)) == 1


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (tiff_block("<", 6), 6),
        (tiff_block(">", 6), 6),
        (tiff_block("<", 6, long=True), 6),
        (tiff_block(">", 6, long=True), 6),
        (tiff_block("<", 6 + (6 << 16), long=True), 1),
        (tiff_block(">", 6 << 16, long=True), 1),
        (tiff_block(">", 0xFFFFFFFA, long=True), 1),
        (tiff_block("<", 0), 1),
        (tiff_block("<", 9), 1),
        (tiff_block("<", 6, count=1), 1),  # the orientation is not counted
        (tiff_block("<", 6, start=4000), 1),  # the directory starts beyond the block
        (tiff_block(">", 6, start=0xFFFFFFF0), 1),
        (tiff_block("<", 6)[:30], 1),  # cut within the tag
        (tiff_block("<", 6, count=60000), 6),
        (b"II*\0", 1),
        (b"", 1),
    ],
)
def test_valid_and_damaged_blocks(orientation_of: dict[str, Orientation], block: bytes, expected: int) -> None:
    assert orientation_of["JPEG"](encode(RGB, "JPEG", exif=b"Exif\0\0" + block)) == expected
    assert read_orientation(b"Exif\0\0" + block) == expected


def test_jpeg_with_other_segments_first(orientation_of: dict[str, Orientation]) -> None:
    data = encode(RGB, "JPEG", exif=exif(6))
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 300) + b"x" * 300
    assert orientation_of["JPEG"](data[:2] + comment + data[2:]) == 6


def test_jpeg_without_a_block_before_the_pixels(orientation_of: dict[str, Orientation]) -> None:
    """Bytes that look like a block are pixels once the scan has started."""
    data = encode(RGB, "JPEG")
    scan = data.index(b"\xff\xda")
    block = b"Exif\0\0" + tiff_block("<", 6)
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(block)) + block
    assert orientation_of["JPEG"](data[:scan] + segment + data[scan:]) == 6
    length = int.from_bytes(data[scan + 2 : scan + 4], "big")
    assert orientation_of["JPEG"](data[: scan + 2 + length] + segment + data[scan + 2 + length :]) == 1


def test_png_after_the_pixels_is_ignored(orientation_of: dict[str, Orientation]) -> None:
    data = encode(RGB, "PNG", exif=exif(6))
    start = data.index(b"eXIf") - 4
    length = 12 + int.from_bytes(data[start : start + 4], "big")
    end = data.index(b"IEND") - 4
    assert start < end
    moved = data[:start] + data[start + length : end] + data[start : start + length] + data[end:]
    assert orientation_of["PNG"](data) == 6
    assert orientation_of["PNG"](moved) == 1


def test_webp_after_a_chunk_of_odd_length(orientation_of: dict[str, Orientation]) -> None:
    """Such a chunk is followed by a byte of padding, which its length does not count."""
    data = encode(RGB, "WEBP", exif=exif(6))
    chunk = b"TEST" + struct.pack("<I", 3) + b"xyz\0"
    assert orientation_of["WEBP"](data[:12] + chunk + data[12:]) == 6


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_files_cut_anywhere_end(orientation_of: dict[str, Orientation], format: str) -> None:
    data = encode(RGB, format, exif=exif(6))
    for length in [*range(60), *range(60, len(data), 97)]:
        assert orientation_of[format](data[:length]) in (1, 6)
