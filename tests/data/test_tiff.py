"""TIFFs: compressions, CMYK, what the fourth channel means, and the kinds that are not supported."""

import struct

import cv2
import numpy as np
import pytest
from PIL import Image
from support.encoded_images import (
    BITMAP,
    GRAY,
    GRAY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    assert_decodes,
    blocks,
    encode,
    over_white,
    tiff,
)

from finetune.data.decode import decode
from finetune.errors import ImageError


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_cmyk_is_not_taken_for_transparent(compression: str | None) -> None:
    data = encode(RGB.convert("CMYK"), "TIFF", compression=compression)
    assert_decodes(data, RGB)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits", "jpeg"])
def test_compressed(compression: str) -> None:
    assert_decodes(encode(RGB, "TIFF", compression=compression), RGB, tolerance=2)


def test_fax() -> None:
    assert_decodes(encode(BITMAP, "TIFF", compression="group4"), BITMAP.convert("RGB"))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (0, (200, 100, 50)),  # a channel of unspecified meaning, such as a saved selection
        (1, (255, 227, 177)),  # colour + 127, at most 255
        (2, (227, 177, 152)),  # colour · 128 / 255 + 127
        (None, (227, 177, 152)),  # as OpenCV writes it
    ],
)
def test_fourth_channel(extra: int | None, bits: int, expected: tuple[int, ...]) -> None:
    pixel = np.array([[[200, 100, 50, 128]]]) * (1 if bits == 8 else 257)
    assert_decodes(tiff(pixel, 2, bits=bits, extra=extra), [[expected]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "its mode F is not supported; .* to RGB"),
        (encode(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF"), "its mode I is not supported; .* to RGB"),
        (tiff(blocks(1), 1, more={339: [2]}), "a TIFF with signed values is not supported; convert the image"),
        (
            tiff(blocks(3), 2, bits=16, planes=True),
            "an uncompressed 16-bit TIFF in planes is not .*; convert the image",
        ),
        (tiff(blocks(5), 2), r"this kind of TIFF is not supported \(unknown pixel mode\); convert the image"),
        (tiff(blocks(3), 2, more={254: [1]}), "camera raw is not supported; convert the image to JPEG"),
        (tiff(blocks(3), 2, more={50706: [0x401]}), "camera raw is not supported; convert the image to JPEG"),
    ],
    ids=["float32", "int32", "signed", "planes", "five channels", "a thumbnail first", "DNG"],
)
def test_kinds_that_are_not_supported(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}$"):
        decode(data)


@pytest.mark.parametrize("bits", [8, 16])
def test_white_as_0(bits: int) -> None:
    scale = 1 if bits == 8 else 257
    assert_decodes(tiff(blocks(1).astype(int) * scale, 0, bits=bits), 255 - np.asarray(GRAY.convert("RGB")))


def test_planes() -> None:
    assert_decodes(tiff(blocks(3), 2, planes=True), RGB)
    assert_decodes(tiff(np.asarray(RGBA), 2, planes=True, extra=2), over_white(RGBA))


def test_every_turn_of_a_fax() -> None:
    """Strips are those of the stored image; its width and height are swapped by a turn."""
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(BITMAP, "TIFF", compression="group4", exif=exif)
        assert decode(data).image.shape[1::-1] == ((48, 32) if orientation < 5 else (32, 48))


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("kind", ["height", "rows per strip"])
def test_strips_that_do_not_cover_the_image_are_noticed(kind: str, planes: bool) -> None:
    """Pillow would leave the rows of missing strips black."""
    data = tiff(blocks(3), 2, planes=planes)
    tag, value = {"height": (257, 64), "rows per strip": (278, 8)}[kind]
    at = data.index(struct.pack("<HHI", tag, 4, 1)) + 8
    with pytest.raises(ImageError, match=r"^the TIFF is cut short \(parts of the image are missing\)$"):
        decode(data[:at] + struct.pack("<I", value) + data[at + 4 :])


def test_gray_with_transparency() -> None:
    assert_decodes(encode(GRAY_ALPHA, "TIFF"), over_white(GRAY_ALPHA))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_of_few_bits(bits: int, photometric: int) -> None:
    """Two rows of eight pixels, packed by hand; the largest value is white or, with photometric 0, black."""
    white = 2**bits - 1
    values = np.arange(16).reshape(2, 8) % (white + 1)
    packed = b"".join(int("".join(f"{v:0{bits}b}" for v in row), 2).to_bytes(bits, "big") for row in values)
    data = tiff(np.zeros((2, 8, 1), int), photometric, bits=bits, body=packed)
    gray = (values if photometric else white - values) * 255 // white
    assert_decodes(data, np.repeat(gray[..., None], 3, axis=2))


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palette_colours(bits: int) -> None:
    """Red, green, and so on: 16-bit values in the file, all red ones first."""
    colors = np.resize([[255, 0, 0], [0, 255, 0], [9, 99, 199]], (2**bits, 3))
    values = np.arange(16).reshape(2, 8) % 2**bits
    packed = b"".join(int("".join(f"{v:0{bits}b}" for v in row), 2).to_bytes(bits, "big") for row in values)
    table = (colors.T * 257).ravel().tolist()
    assert_decodes(tiff(np.zeros((2, 8, 1), int), 3, bits=bits, body=packed, more={320: table}), colors[values])


@pytest.mark.parametrize("image", [RGB, GRAY, PALETTE, BITMAP], ids=["RGB", "gray", "palette", "bitmap"])
def test_big_tiff(image: Image.Image) -> None:
    """64-bit offsets, for files of over 4 GB."""
    data = encode(image, "TIFF", big_tiff=True)
    assert data[:4] == b"II+\0"
    assert_decodes(data, image.convert("RGB"))


def test_cmyk_with_black() -> None:
    """Part of the ink is in the black channel: colour = (255 - ink) · (255 - black) / 255."""
    ink = 255 - blocks(3)
    black = np.minimum(ink.min(axis=2, keepdims=True), 80)
    image = Image.fromarray(np.dstack([ink - black, black]), "CMYK")
    expected = (255 - (ink - black).astype(int)) * (255 - black.astype(int)) / 255
    for format in ("TIFF", "JPEG"):
        assert_decodes(encode(image, format), expected, tolerance=4)


def test_16_bits_are_cut_to_8() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (32, 48, 3), np.uint16)
    assert_decodes(cv2.imencode(".tiff", deep[..., ::-1])[1].tobytes(), deep >> 8)
