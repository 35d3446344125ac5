"""Resizing: averages of areas when shrinking, worked out by hand, and a bound on memory for very long images."""

import tracemalloc

import numpy as np
import pytest

from finetune.data.network_input import to_input
from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.data.resize import resize, resize_for_crop

CROP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR)


def test_shrinking_takes_the_mean_of_the_area() -> None:
    gray = np.array([[0, 40, 8, 8], [80, 120, 8, 8], [1, 3, 100, 200], [5, 7, 200, 100]], np.uint8)
    image = np.repeat(gray[..., None], 3, axis=2)
    assert resize(image, 2, 2)[..., 0].tolist() == [[60, 8], [4, 150]]
    assert resize(image, 4, 2)[..., 0].tolist() == [[40, 80, 8, 8], [3, 5, 150, 150]]
    assert resize(image, 1, 1)[..., 0].tolist() == [[56]]  # 888 / 16 = 55.5; sampling four pixels would differ


def test_shrinking_by_linear_interpolation() -> None:
    """To a third: the centre of each new pixel is that of a middle one, whatever is around it."""
    gray = np.array([[9, 40, 9, 8, 60, 8]] * 3, np.uint8)
    image = np.repeat(gray[..., None], 3, axis=2)
    assert resize(image, 2, 1, "linear")[..., 0].tolist() == [[40, 60]]
    assert resize(image, 2, 1)[..., 0].tolist() == [[19, 25]]  # 58 / 3 and 76 / 3


def test_enlarging_is_linear() -> None:
    """Pixel centres are at 0.5 and 1.5 of 2, those of the result at 0.25, 0.75, 1.25 and 1.75: 0, 1/4, 3/4 and 1."""
    image = np.array([[[0, 0, 0], [100, 100, 100]]], np.uint8)
    assert resize(image, 4, 1)[0, :, 0].tolist() == [0, 25, 75, 100]


def test_fine_stripes_become_gray_without_aliasing() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::4] = 200
    assert np.unique(to_input(stripes, CROP)).tolist() == [50]


@pytest.mark.parametrize(
    ("height", "width", "resized"),
    [
        (512, 600, (256, 300)),
        (600, 512, (300, 256)),
        (512, 603, (256, 302)),  # 301.5
        (64, 100, (256, 400)),
        (512, 2048, (256, 1024)),  # four times as long as wide: not cut
        (512, 4000, (256, 1024)),  # longer: only the middle
        (4000, 512, (1024, 256)),
    ],
)
def test_the_short_side_is_resized_and_the_ratio_stays(height: int, width: int, resized: tuple[int, int]) -> None:
    assert resize_for_crop(np.zeros((height, width, 3), np.uint8), CROP).shape[:2] == resized


def test_a_crop_and_a_warp_interpolate_as_the_network_was_trained() -> None:
    gray = np.array([[9, 40, 9, 8, 60, 8]] * 3, np.uint8)
    image = np.repeat(gray[..., None], 3, axis=2)
    for resize_mode in ("crop", "warp"):
        square = Preprocessing(1, (0, 0, 0), resize=resize_mode, resize_to=1, interpolation="linear")  # type: ignore[arg-type]
        assert to_input(image[:, :3], square).tolist() == [[[40] * 3]]


def test_the_middle_of_a_very_long_image_is_kept() -> None:
    image = np.zeros((1, 12, 3), np.uint8)
    image[:, 4:8] = 255
    assert resize_for_crop(image, Preprocessing(1, (0, 0, 0), resize_to=1)).min() == 255


def test_a_very_long_image_does_not_grow_before_the_crop() -> None:
    """It would grow to 256 × 768,000 pixels, 590 MB."""
    tracemalloc.start()
    to_input(np.zeros((1, 3000, 3), np.uint8), CROP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
