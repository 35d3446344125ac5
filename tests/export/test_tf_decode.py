"""Decoding in a graph: the same pixels as `finetune.data.decode`, for every kind of file that TensorFlow reads."""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support.encoded_images import BITMAP, GRAY, GRAY_ALPHA, PALETTE, RGB, RGBA, blocks, bmp32, encode, gif

from finetune.data import decode
from finetune.export import tf_decode

SHORT_SIDE = 16
Decoder = tf.types.experimental.PolymorphicFunction


@pytest.fixture(scope="module")
def in_graph() -> Decoder:
    """The decoder as a graph, as it is exported: every branch is traced."""
    signature = [tf.TensorSpec((), tf.string)]
    return tf.function(lambda data: tf_decode.decode(data, SHORT_SIDE), input_signature=signature, autograph=False)


def difference(in_graph: Decoder, data: bytes) -> int:
    """Return the largest difference of a pixel."""
    found, expected = in_graph(tf.constant(data)).numpy(), decode.decode(data, SHORT_SIDE).image[..., ::-1]
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected).max())


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(in_graph: Decoder, format: str, orientation: int) -> None:
    assert difference(in_graph, encode(RGB, format, exif=exif(orientation))) == 0


@pytest.mark.parametrize("image", [RGB, GRAY, PALETTE, BITMAP, RGBA, GRAY_ALPHA], ids=lambda image: str(image.mode))
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_kinds_of_pixels(in_graph: Decoder, format: str, image: Image.Image) -> None:
    assert difference(in_graph, encode(image, format)) == 0


@pytest.mark.parametrize(
    ("image", "color"),
    [(GRAY, int(np.asarray(GRAY)[0, 0])), (RGB, tuple(np.asarray(RGB)[0, 0].tolist())), (PALETTE, 3)],
)
def test_transparent_color(in_graph: Decoder, image: Image.Image, color: int | tuple[int, ...]) -> None:
    assert difference(in_graph, encode(image, "PNG", transparency=color)) == 0


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits(in_graph: Decoder, channels: int) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (20, 30, channels), np.uint16)
    assert difference(in_graph, cv2.imencode(".png", deep)[1].tobytes()) == 0


@pytest.mark.parametrize("size", [(20, 30), (33, 40), (70, 64), (300, 140), (1, 40)])
@pytest.mark.parametrize("options", [{}, {"subsampling": 2}, {"progressive": True}], ids=str)
def test_jpeg_at_every_reduced_size(in_graph: Decoder, size: tuple[int, int], options: dict[str, bool]) -> None:
    image = Image.fromarray(cv2.resize(blocks(3), size))
    assert difference(in_graph, encode(image, "JPEG", **options)) == 0
    assert difference(in_graph, encode(image.convert("L"), "JPEG")) == 0


def test_cmyk(in_graph: Decoder) -> None:
    """OpenCV divides by 256 and TensorFlow by 255, so the results may differ by 1."""
    assert difference(in_graph, encode(RGB.convert("CMYK"), "JPEG")) <= 1


@pytest.mark.parametrize("image", [RGB, GRAY, PALETTE], ids=lambda image: str(image.mode))
@pytest.mark.parametrize("format", ["BMP", "GIF"])
def test_bmp_and_gif(in_graph: Decoder, format: str, image: Image.Image) -> None:
    assert difference(in_graph, encode(image, format)) == 0


def test_bmp_of_32_bits(in_graph: Decoder) -> None:
    assert difference(in_graph, bmp32(np.dstack([blocks(3), blocks(1)]), alpha=False)) == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "expected JPEG, PNG, GIF, WebP or BMP"),
        (b"hello", "expected JPEG, PNG, GIF, WebP or BMP"),
        (encode(RGB, "TIFF"), "expected JPEG, PNG, GIF, WebP or BMP"),
        (encode(RGB, "JPEG")[:-200], "Invalid JPEG data"),
        (encode(RGB, "PNG")[:-40], "Invalid PNG data"),
        (gif(), "the first frame of the GIF covers only part of it"),
        (encode(BITMAP, "BMP"), "the BMP is compressed, or does not have 8, 24 or 32 bits"),
        (bmp32(np.dstack([blocks(3), blocks(1)]), alpha=True), "the BMP is compressed"),
        (b"BM", "the BMP is"),
        (b"\xff\xd8\xff", "Invalid JPEG data"),
        (b"\x89PNG\r\n\x1a\n", "Invalid PNG"),
    ],
)
def test_unreadable_files(in_graph: Decoder, data: bytes, reason: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=reason):
        in_graph(tf.constant(data))
