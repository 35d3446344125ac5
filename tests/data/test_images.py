"""From paths, URLs, arrays and PIL images to network input, and ten crops."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.encoded_images import RGB, encode

from finetune.data import images
from finetune.data.decode import decode
from finetune.data.images import (
    MAX_BYTES,
    path_or_url,
    read_bytes,
    read_image,
    read_input,
    read_input_or_raise,
    ten_crop_preprocessing,
    ten_crops,
)
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError

SMALL = Preprocessing(size=2, mean=(0.0, 0.0, 0.0), resize="warp", resize_to=4)
BLUE_BGR = np.full((4, 4, 3), (200, 20, 10), np.uint8)


def test_a_large_jpeg_is_decoded_no_larger_than_needed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.jpg"), noise)
    data = (tmp_path / "noise.jpg").read_bytes()
    reduced, full = (to_input(decode(data, short_side).image, SMALL) for short_side in (2, None))
    assert not np.array_equal(reduced, full)
    np.testing.assert_array_equal(read_input(tmp_path / "noise.jpg", SMALL), reduced)


def test_path_or_url() -> None:
    assert path_or_url("photo.jpg") == Path("photo.jpg")
    assert path_or_url("http://x/photo.jpg") == "http://x/photo.jpg"
    assert path_or_url(BLUE_BGR) is None
    assert path_or_url(RGB) is None


def test_read_input_returns_errors_instead_of_raising_them(tmp_path: Path) -> None:
    assert str(read_input(tmp_path / "gone.png", SMALL)) == "cannot be opened (No such file or directory)"
    error = read_input("http://127.0.0.1/x.jpg", SMALL)
    assert isinstance(error, ImageError)
    assert str(error) == "not fetched because FINETUNE_OFFLINE is set; unset it"


def test_input_from_a_url(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Decoded like a file; damage is reported under the URL."""
    data = encode(RGB, "JPEG")
    monkeypatch.setattr(images, "read_url", lambda url: data[:-100] + b"\xff\xd9")
    found = read_input("http://host/x.jpg", SMALL)
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, 2, 3)
    (message,) = caplog.messages
    assert message.startswith("http://host/x.jpg is damaged (")


def test_importing_it_does_not_import_requests() -> None:
    """Most uses read no URL, and importing requests takes a tenth of a second."""
    script = "import sys, finetune.data.images; sys.exit('requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    for name, format in (("image.jpg", "PNG"), ("nameless", "BMP")):
        (tmp_path / name).write_bytes(encode(RGB, format))
        np.testing.assert_array_equal(read_image(tmp_path / name)[..., ::-1], np.asarray(RGB))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.png", r"cannot be opened \(No such file or directory\)"),
        (".", r"cannot be opened \(Is a directory\)"),
        ("a\0b.png", r"cannot be opened \(invalid file name\)"),
        ("x" * 300, r"cannot be opened \(File name too long\)"),
        ("pipe", "not a regular file; pass an image file"),
        ("large.bmp", "larger than the limit of 1024 MB; shrink it"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, reason: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large.bmp").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse: it takes no space on disk
    with pytest.raises(ImageError, match=f"^{reason}$"):
        read_bytes(tmp_path / name)


def test_ten_crops_by_hand() -> None:
    """A 4 × 4 square whose pixels are numbered row by row: the first pixel of a 2 × 2 crop shows where it is."""
    square = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    crops = ten_crops(square, 2)
    assert crops.shape == (10, 2, 2, 1)
    assert crops[:5, 0, 0, 0].tolist() == [0, 2, 8, 10, 5]
    np.testing.assert_array_equal(crops[5:], crops[:5, :, ::-1])
    assert crops[5, 0].ravel().tolist() == [1, 0]


def test_ten_crops_are_cut_from_the_square_before_the_crop() -> None:
    network = Preprocessing(size=227, mean=(0.0, 0.0, 0.0))
    assert ten_crop_preprocessing(network).size == 256
    wide = np.zeros((256, 400, 3), np.uint8)
    wide[:, 72:328] = 255  # the middle 256 columns
    square = read_input(wide, ten_crop_preprocessing(network), "bgr")
    assert isinstance(square, np.ndarray)
    assert square.shape == (256, 256, 3)
    assert square.min() == 255


def test_ten_crops_differ_where_the_weights_leave_no_margin() -> None:
    """Image and input of 227: the square has 256 pixels, and the crops of a gradient are ten."""
    network = Preprocessing(size=227, mean=(0.0, 0.0, 0.0), resize_to=227)
    rows, columns = np.mgrid[:227, :227]
    gradient = np.dstack([rows, columns, rows]).astype(np.uint8)
    square = read_input(gradient, ten_crop_preprocessing(network), "bgr")
    assert isinstance(square, np.ndarray)
    assert square.shape == (256, 256, 3)
    crops = ten_crops(square, network.size)
    assert len({crop.tobytes() for crop in crops}) == 10
    corners = [crop[0, 0, :2].tolist() for crop in crops[:5]]  # row and column: (29.5 · 227 / 256) - 0.5 = 25.7
    assert np.abs(np.subtract(corners, [[0, 0], [0, 25.7], [25.7, 0], [25.7, 25.7], [12.4, 12.4]])).max() < 1
    np.testing.assert_array_equal(read_input(gradient, network, "bgr"), gradient)  # the plain input stays as it is


def test_read_input_or_raise_names_the_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), BLUE_BGR)
    np.testing.assert_array_equal(read_input_or_raise(tmp_path / "blue.png", SMALL), np.full((2, 2, 3), (200, 20, 10)))
    with pytest.raises(ImageError, match=r"gone\.png: cannot be opened"):
        read_input_or_raise(str(tmp_path / "gone.png"), SMALL)
