"""PIL images: the pixels of a file of the same mode, whether it was opened or drawn."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.encoded_images import BITMAP, GRAY, GRAY_ALPHA, PALETTE, RGB, RGBA, blocks, encode

from finetune.classifier import load
from finetune.data.decode import decode
from finetune.data.pil_image import pil_to_bgr
from finetune.errors import ImageError

SIXTEEN_BITS = Image.fromarray(np.asarray(GRAY).astype(np.uint16) * 257 + 13)


def transparent(image: Image.Image, value: object) -> Image.Image:
    """Return the image with one value, or every entry of its palette, transparent."""
    image = image.copy()
    image.info["transparency"] = value
    return image


IMAGES = {
    "RGB": RGB,
    "gray": GRAY,
    "palette": PALETTE,
    "bitmap": BITMAP,
    "RGBA": RGBA,
    "gray with alpha": GRAY_ALPHA,
    "16 bits": SIXTEEN_BITS,
    "transparent entry": transparent(PALETTE, 3),
    "half transparent entries": transparent(PALETTE, bytes([0, 50, 100, 255])),
    "transparent gray": transparent(GRAY, GRAY.getpixel((0, 0))),
    "transparent colour": transparent(RGB, RGB.getpixel((0, 0))),
    "transparent 16 bits": transparent(SIXTEEN_BITS, SIXTEEN_BITS.getpixel((0, 0))),
}


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_pixels_are_those_of_the_png(image: Image.Image) -> None:
    data = encode(image, "PNG")
    expected = decode(data).image
    for given in (image, Image.open(io.BytesIO(data))):
        found = pil_to_bgr(given)
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("format", "tolerance"), [("TIFF", 1), ("JPEG", 2)])
def test_cmyk_is_that_of_the_file(format: str, tolerance: int) -> None:
    """PNG has no CMYK; the decoders round differently."""
    data = encode(Image.frombytes("CMYK", (48, 32), blocks(4).tobytes()), format)
    found = pil_to_bgr(Image.open(io.BytesIO(data)))
    np.testing.assert_allclose(found.astype(int), decode(data).image, atol=tolerance)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_undone(orientation: int, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(RGB, format, exif=exif)
    np.testing.assert_array_equal(pil_to_bgr(Image.open(io.BytesIO(data))), decode(data).image)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_32_bits_are_refused(mode: str) -> None:
    with pytest.raises(ImageError, match=rf"^its mode {mode} is not supported; convert the image to RGB$"):
        pil_to_bgr(GRAY.convert(mode))


def test_files_that_pillow_cannot_decode() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    cut = Image.open(io.BytesIO(encode(noise, "PNG")[:-2000]))
    closed = Image.open(io.BytesIO(encode(RGB, "PNG")))
    closed.close()
    for image in (cut, closed):
        with pytest.raises(ImageError, match=r"^Pillow cannot decode it \(.+\); open it again$"):
            pil_to_bgr(image)


def test_a_classifier_takes_what_the_file_gives(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Every kind of image, alone and in a list: the probabilities and features of its PNG."""
    classifier = load(tiny_weights)
    for number, image in enumerate(IMAGES.values()):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encode(image, "PNG"))
        (from_file,), (from_pil,) = classifier.predict(path), classifier.predict(image)
        assert from_pil.path is None
        assert from_pil.label == from_file.label
        np.testing.assert_allclose(from_pil.probabilities, from_file.probabilities, atol=1e-4)  # type: ignore[arg-type]
    (first,), (second,) = classifier.features(path, "fc6"), classifier.features([image], "fc6")
    np.testing.assert_allclose(second.values, first.values, atol=1e-4)  # type: ignore[arg-type]
    good, bad = classifier.predict([RGB, GRAY.convert("F")])
    assert (good.error, bad.error) == (None, "its mode F is not supported; convert the image to RGB")
