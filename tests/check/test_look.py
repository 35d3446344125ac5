"""What a look at one image measures."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import encoded, photo

from finetune.check.look import ImageLook, look
from finetune.data.dataset import LabelledFile
from finetune.data.images import read_input
from finetune.networks import build


def look_at(path: Path, content: bytes) -> ImageLook:
    path.write_bytes(content)
    return look(LabelledFile(path, "ants", "train"))


def saved(path: Path, image: Image.Image, format: str, **options: Any) -> ImageLook:
    image.save(path, format, **options)
    return look(LabelledFile(path, "ants", "train"))


def test_a_photo(tmp_path: Path) -> None:
    content = encoded(photo(0))
    image = look_at(tmp_path / "a.jpg", content)
    assert (image.error, image.format, image.width, image.height) == (None, "JPEG", 200, 150)
    assert (image.orientation, image.colour_model, image.damage) == (1, "RGB", "")
    assert image.digest == hashlib.sha256(content).hexdigest()
    assert image.deviation > 30
    assert image.main_colour < 0.1
    assert image.pixels is None


def test_an_unreadable_file_says_why(tmp_path: Path) -> None:
    assert look_at(tmp_path / "a.jpg", b"").error == "the file is empty"
    assert look_at(tmp_path / "a.jpg", encoded(photo(0))[:3000]).error == "the JPEG is cut short (no end marker)"
    assert look(LabelledFile(tmp_path / "none.jpg", "a", None)).error == "cannot be opened (No such file or directory)"


def test_the_network_input_is_the_one_of_training(tmp_path: Path) -> None:
    preprocessing = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 8}).preprocessing
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(0)))
    image = look(LabelledFile(path, "ants", "train"), preprocessing)
    assert image.pixels is not None
    assert image.pixels.shape == (67, 67, 3)
    np.testing.assert_array_equal(image.pixels, read_input(path, preprocessing))


def test_colour_models(tmp_path: Path) -> None:
    rgb = Image.fromarray(photo(0))
    expected = {
        "gray": ("L", "JPEG"),
        "CMYK": ("CMYK", "JPEG"),
        "RGB with transparency": ("RGBA", "PNG"),
        "palette": ("P", "PNG"),
        "RGB": ("RGB", "WEBP"),
    }
    for model, (mode, format) in expected.items():
        assert saved(tmp_path / "image", rgb.convert(mode), format).colour_model == model
    assert saved(tmp_path / "a.png", rgb.convert("L").convert("RGB"), "PNG").colour_model == "gray"


def test_rotated_by_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = saved(tmp_path / "a.jpg", Image.fromarray(photo(0)), "JPEG", exif=exif)
    assert (image.orientation, image.width, image.height) == (6, 200, 150)


def test_a_jpeg_cut_and_closed_again(tmp_path: Path) -> None:
    content = encoded(photo(0))
    image = look_at(tmp_path / "a.jpg", content[: len(content) * 6 // 10] + b"\xff\xd9")
    assert (image.error, image.damage) == (None, "premature end of data segment")


def test_one_colour_and_nearly(tmp_path: Path) -> None:
    pixels = np.full((150, 200, 3), (30, 90, 200), np.uint8)
    image = look_at(tmp_path / "a.jpg", encoded(pixels))
    assert image.deviation < 2
    assert image.main_colour == 1
    pixels[..., 2] = np.arange(200)
    image = look_at(tmp_path / "a.png", encoded(pixels, ".png"))
    assert image.deviation == pytest.approx(np.arange(200).std(), rel=0.05), "of the channel that varies most"
    pixels[..., 2] = 200
    pixels[:15] = photo(0)[:15]
    image = look_at(tmp_path / "a.png", encoded(pixels, ".png"))
    assert image.deviation > 2
    assert image.main_colour == pytest.approx(0.9, abs=0.02)
