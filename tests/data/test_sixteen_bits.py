"""Samples of 9 to 16 bits: cut, scaled by what the file says, or warned of; values by hand."""

import io
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.encoded_images import GRAY, GRAY_ALPHA, RGB, assert_decodes, encode, png, png_chunk, tiff

from finetune.data.decode import decode
from finetune.data.images import read_image
from finetune.data.pil_image import pil_to_bgr

GRAY_8 = np.asarray(GRAY)
EXPECTED = np.repeat(GRAY_8[..., None], 3, axis=2)
DEPTHS = range(9, 16)


def deep(bits: int) -> np.ndarray:
    """Return the gray image with values of so many bits; the largest is used."""
    values = GRAY_8.astype(np.uint16) << (bits - 8)
    values[0, 0] = 2**bits - 1
    return values


def expected(bits: int) -> np.ndarray:
    return np.repeat((deep(bits) >> (bits - 8))[..., None], 3, axis=2)


def gray_png(values: np.ndarray, *chunks: bytes) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 16, 0, rows, *chunks)


@pytest.mark.parametrize("bits", DEPTHS)
def test_tiff_with_a_largest_value(bits: int) -> None:
    data = tiff(deep(bits)[..., None], 1, bits=16, more={281: [2**bits - 1]})
    assert_decodes(data, expected(bits))
    np.testing.assert_array_equal(pil_to_bgr(Image.open(io.BytesIO(data)))[..., ::-1], expected(bits))
    assert not decode(data).dim


def test_tiff_with_white_as_0() -> None:
    assert_decodes(tiff(4095 - deep(12)[..., None], 0, bits=16, more={281: [4095]}), expected(12))


def test_a_largest_value_that_is_wrong_is_ignored() -> None:
    assert_decodes(tiff(deep(16)[..., None], 1, bits=16, more={281: [4095]}), expected(16))
    assert_decodes(tiff(deep(16)[..., None], 1, bits=16, more={281: [255]}), expected(16))


def test_tiff_of_12_bits_packed() -> None:
    """Two samples in three bytes."""
    values = deep(12)
    packed = b"".join(((int(a) << 12) | int(b)).to_bytes(3, "big") for a, b in values.reshape(-1, 2))
    assert_decodes(tiff(values[..., None], 1, bits=12, body=packed), expected(12))


@pytest.mark.parametrize("bits", DEPTHS)
def test_png_with_bits_of_meaning(bits: int) -> None:
    """The standard asks for values shifted to 16 bits; many programs store them as they are."""
    chunk = png_chunk(b"sBIT", bytes([bits]))
    assert_decodes(gray_png(deep(bits), chunk), expected(bits))
    assert_decodes(gray_png(deep(bits) << (16 - bits), chunk), expected(bits))


@pytest.mark.parametrize("bits", [*DEPTHS, 16])
def test_pgm_and_ppm(bits: int) -> None:
    head = b"P5\n48 32\n%d\n" % (2**bits - 1)
    assert_decodes(head + deep(bits).astype(">u2").tobytes(), expected(bits), tolerance=1)
    color = np.asarray(RGB).astype(np.uint16) << (bits - 8)
    assert_decodes(b"P6" + head[2:] + color.astype(">u2").tobytes(), RGB, tolerance=1)


def test_pgm_from_a_script() -> None:
    data = b"P5\n48 32\n4095\n" + deep(12).astype(">u2").tobytes()
    np.testing.assert_array_equal(pil_to_bgr(Image.open(io.BytesIO(data))), decode(data).image)


def test_jpeg_2000() -> None:
    _, data = cv2.imencode(".jp2", GRAY_8.astype(np.uint16) * 257, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])
    assert_decodes(data.tobytes(), EXPECTED, tolerance=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize(("bits", "dim"), [(8, True), (12, True), (15, True), (16, False)])
def test_values_that_leave_the_highest_bit_unused(extension: str, channels: int, bits: int, dim: bool) -> None:
    values = np.repeat(deep(bits)[..., None], channels, axis=2)
    data = cv2.imencode(extension, values)[1].tobytes()
    assert decode(data).dim == dim
    np.testing.assert_array_equal(decode(data).image[..., 0], deep(bits) >> 8)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "JPEG", "PPM"])
def test_dark_images_of_8_bits_are_not_dim(format: str) -> None:
    assert not decode(encode(Image.new("L", (8, 8), 9), format)).dim
    assert not decode(encode(GRAY_ALPHA if format == "PNG" else GRAY, format)).dim


def test_a_dim_image_is_warned_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(encode(Image.fromarray(deep(12)), "TIFF"))
    with caplog.at_level(logging.WARNING):
        read_image(path)
        read_image(path)
    assert caplog.messages == [
        f"{path} is dark: its 16-bit values use less than half of their range; scale them to 65535"
    ]
