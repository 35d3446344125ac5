"""The mean of the images: worked out by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.data.mean import mean_of_images
from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError

TWO = Preprocessing(size=2, mean=(0, 0, 0), resize_to=2)


def write(path: Path, *rows: list[tuple[int, int, int]]) -> Path:
    cv2.imwrite(str(path), np.array(rows, np.uint8))
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Two squares; of a wide image, the network sees the middle."""
    one = write(tmp_path / "1.png", [(0, 0, 200)] * 2, [(0, 0, 100)] * 2)
    other = write(tmp_path / "2.png", *[[(255, 0, 0), (10, 20, 30), (10, 20, 31), (255, 0, 0)]] * 2)
    return [one, other]


def test_by_hand(paths: list[Path]) -> None:
    """Blue (0 + 10) / 2, green (0 + 20) / 2, red (150 + 30.5) / 2."""
    assert mean_of_images(paths, TWO) == "5.000,10.000,90.250"
    rgb = Preprocessing(size=2, mean=(9, 9, 9), std=(2, 2, 2), channel_order="RGB", resize_to=2)
    assert mean_of_images(paths, rgb) == "5.000,10.000,90.250", "of the pixels, in any case blue first"
    warp = Preprocessing(size=2, mean=(0, 0, 0), resize="warp", resize_to=2)
    assert mean_of_images(paths, warp).startswith("66.000,"), "(0 + 132) / 2: (255 + 10) / 2 is rounded to even"


def test_gray(paths: list[Path]) -> None:
    """0.299 · 200 = 59.8 and 29.9, rounded; 0.114 · 10 + 0.587 · 20 + 0.299 · 30 = 21.85, and 22.15."""
    gray = Preprocessing(size=2, mean=(0,), std=(1,), channel_order="GRAY", resize_to=2)
    assert mean_of_images(paths, gray) == f"{(60 + 30 + 22 + 22) / 4:.3f}"


def test_unreadable_images_do_not_count(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "not.png").write_bytes(b"not an image")
    assert mean_of_images([*paths, tmp_path / "not.png"], TWO) == mean_of_images(paths, TWO)
    with pytest.raises(DataError) as caught:
        mean_of_images([tmp_path / "not.png", tmp_path / "missing.png"], TWO)
    assert str(caught.value) == "--mean data needs images to take the mean of, but none of 2 can be read"
