"""One look at one picture."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.drawn_photos import encoded, photo

from finetune.check.look import Seen, look
from finetune.data.dataset import Found
from finetune.data.images import read_input
from finetune.networks import build


def seen(path: Path, content: bytes) -> Seen:
    path.write_bytes(content)
    return look(Found(path, "ants", "train"))


def saved(path: Path, image: Image.Image, format: str, **options: Any) -> Seen:
    image.save(path, format, **options)
    return look(Found(path, "ants", "train"))


def test_a_photo(tmp_path: Path) -> None:
    content = encoded(photo(0))
    picture = seen(tmp_path / "a.jpg", content)
    assert (picture.error, picture.format, picture.width, picture.height) == (None, "JPEG", 200, 150)
    assert (picture.orientation, picture.colour_model, picture.damage) == (1, "RGB", "")
    assert picture.digest == hashlib.sha256(content).hexdigest()
    assert picture.deviation > 30
    assert picture.main_colour < 0.1
    assert picture.pixels is None


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert seen(tmp_path / "a.jpg", b"").error == "the file is empty"
    assert seen(tmp_path / "a.jpg", encoded(photo(0))[:3000]).error == "the JPEG is cut short (no end marker)"
    assert look(Found(tmp_path / "none.jpg", "a", None)).error == "cannot be opened (No such file or directory)"


def test_the_network_input_is_the_one_of_training(tmp_path: Path) -> None:
    preprocessing = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 8}).preprocessing
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(photo(0)))
    picture = look(Found(path, "ants", "train"), preprocessing)
    assert picture.pixels is not None
    assert picture.pixels.shape == (67, 67, 3)
    np.testing.assert_array_equal(picture.pixels, read_input(path, preprocessing))


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
        assert saved(tmp_path / "picture", rgb.convert(mode), format).colour_model == model
    assert saved(tmp_path / "a.png", rgb.convert("L").convert("RGB"), "PNG").colour_model == "gray"


def test_turned_by_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = saved(tmp_path / "a.jpg", Image.fromarray(photo(0)), "JPEG", exif=exif)
    assert (picture.orientation, picture.width, picture.height) == (6, 200, 150)


def test_a_jpeg_cut_and_closed_again(tmp_path: Path) -> None:
    content = encoded(photo(0))
    picture = seen(tmp_path / "a.jpg", content[: len(content) * 6 // 10] + b"\xff\xd9")
    assert (picture.error, picture.damage) == (None, "premature end of data segment")


def test_one_colour_and_nearly(tmp_path: Path) -> None:
    pixels = np.full((150, 200, 3), (30, 90, 200), np.uint8)
    picture = seen(tmp_path / "a.jpg", encoded(pixels))
    assert picture.deviation < 2
    assert picture.main_colour == 1
    pixels[:15] = photo(0)[:15]
    picture = seen(tmp_path / "a.png", encoded(pixels, ".png"))
    assert picture.deviation > 2
    assert picture.main_colour == pytest.approx(0.9, abs=0.02)
