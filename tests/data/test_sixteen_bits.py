"""Samples of 9 to 16 bits: cut, scaled by what the file says, or warned of; values by hand."""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.encoded_images import (
    GRAY,
    GRAY_ALPHA,
    RGB,
    RGBA,
    assert_decodes,
    encode,
    over_white,
    png,
    png_chunk,
    tiff,
)

from finetune.classifier import load
from finetune.data.decode import decode, warn_of_dim_images
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


def deep_colour(channels: int, bits: int) -> np.ndarray:
    """Return colours with values of so many bits, of RGB or RGBA; the largest is used."""
    values = np.asarray({3: RGB, 4: RGBA}[channels]).astype(np.uint16) << (bits - 8)
    values[0, 0] = 2**bits - 1
    return values


def colour_png(values: np.ndarray, *chunks: bytes) -> bytes:
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 16, {3: 2, 4: 6}[values.shape[2]], rows, *chunks)


def expected_colour(values: np.ndarray, bits: int) -> np.ndarray:
    eight = (values >> (bits - 8)).astype(np.uint8)
    return over_white(Image.fromarray(eight)) if eight.shape[2] == 4 else eight


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("bits", DEPTHS)
def test_colour_png_with_bits_of_meaning(bits: int, channels: int) -> None:
    values = deep_colour(channels, bits)
    chunk = png_chunk(b"sBIT", bytes([bits] * channels))
    for stored in (values, values << (16 - bits)):
        assert_decodes(colour_png(stored, chunk), expected_colour(values, bits))
        assert not decode(colour_png(stored, chunk)).dim


def test_a_transparent_colour_of_12_bits_is_white() -> None:
    values = deep_colour(3, 12)
    clear = values[20, 20]
    data = colour_png(values, png_chunk(b"sBIT", bytes([12] * 3)), png_chunk(b"tRNS", clear.astype(">u2").tobytes()))
    right = expected_colour(values, 12)
    right[(values == clear).all(axis=2)] = 255
    assert_decodes(data, right)


@pytest.mark.parametrize("bits", DEPTHS)
def test_colour_tiff_with_a_largest_value(bits: int) -> None:
    """One value for each channel, of which the largest counts."""
    values = deep_colour(3, bits)
    largest = [2**bits - 1, 2 ** (bits - 1), 2**bits - 1]
    assert_decodes(tiff(values, 2, bits=16, more={281: largest}), expected_colour(values, bits))
    packed = zlib.compress(values.astype("<u2").tobytes())  # libtiff returns the byte order of this machine
    data = tiff(values, 2, bits=16, more={281: [2**bits - 1] * 3, 259: [8]}, body=packed)
    assert_decodes(data, expected_colour(values, bits))


def test_colour_tiff_with_transparency() -> None:
    values = deep_colour(4, 12)
    data = tiff(values, 2, bits=16, extra=2, more={281: [4095] * 4})
    assert_decodes(data, expected_colour(values, 12))


def test_colour_with_a_value_larger_than_the_file_says_is_cut() -> None:
    values = deep_colour(3, 16)
    assert_decodes(tiff(values, 2, bits=16, more={281: [4095] * 3}), expected_colour(values, 16))
    assert_decodes(colour_png(values, png_chunk(b"sBIT", bytes([12] * 3))), expected_colour(values, 16))


def test_premultiplied_colour_and_gray_with_transparency_are_cut_and_warned_of() -> None:
    """Pillow does not return their low bytes."""
    values = deep_colour(4, 12)
    assert decode(tiff(values, 2, bits=16, extra=1, more={281: [4095] * 4})).image.shape == (32, 48, 3)
    gray = np.dstack([deep(12), np.full_like(deep(12), 65535)])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in gray)
    assert decode(png(48, 32, 16, 4, rows, png_chunk(b"sBIT", b"\x0c\x0c"))).dim


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


def test_dim_images_are_warned_of_once_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "ab":
        (tmp_path / f"{name}.tif").write_bytes(encode(Image.fromarray(deep(12)), "TIFF"))
    for names in ("b", "ab", "ab"):
        for name in names:
            read_image(tmp_path / f"{name}.tif")
        warn_of_dim_images()
    end = "16-bit values use less than half of their range; scale them to 65535"
    assert caplog.messages == [f"{tmp_path}/b.tif is dark: its {end}", f"{tmp_path}/a.tif is dark: its {end}"]
    caplog.clear()
    images = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(gray_png(deep(12)))
        images.append(path)
    load("starter").predict(images)
    assert not caplog.messages  # before an image is read
    list(load("starter").predict(images))
    assert caplog.messages == [f"3 images are dark ({images[0]}, …): their {end}"]
