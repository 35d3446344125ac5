"""TIFFs: compressions, CMYK, what the fourth channel means, and the kinds that OpenCV would read wrongly."""

import cv2
import numpy as np
import pytest
from PIL import Image
from support.encoded_images import BITMAP, GRAY, GRAY_ALPHA, RGB, assert_decodes, blocks, encode, tiff

from finetune.data.decode import decode
from finetune.data.header import read_header
from finetune.errors import ImageError


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_cmyk_is_not_taken_for_transparent(compression: str | None) -> None:
    data = encode(RGB.convert("CMYK"), "TIFF", compression=compression)
    assert read_header(data).alpha == "none"
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
        (encode(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF"), "pixels are float32, expected 8 or 16 bits"),
        (encode(Image.fromarray(np.ones((2, 2), np.int32)), "TIFF"), "pixels are int32, expected 8 or 16 bits"),
        (encode(GRAY_ALPHA, "TIFF"), "a gray TIFF with transparency is not supported"),
        (tiff(blocks(3), 2, bits=16, planes=True), "a 16-bit TIFF in planes or with white as 0 is not supported"),
        (tiff(blocks(1), 0, bits=16), "a 16-bit TIFF in planes or with white as 0 is not supported"),
    ],
    ids=["float32", "int32", "gray and alpha", "planes", "white is 0"],
)
def test_kinds_that_would_be_read_wrongly_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}; convert the image$"):
        decode(data)


def test_8_bits_in_planes_and_with_white_as_0() -> None:
    assert_decodes(tiff(blocks(3), 2, planes=True), RGB)
    assert_decodes(tiff(blocks(1), 0), 255 - np.asarray(GRAY.convert("RGB")))


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
