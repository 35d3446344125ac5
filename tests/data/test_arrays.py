"""Arrays as images, in either channel order, and arrays that are no images."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.data.arrays import array_to_bgr
from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError

SMALL = Preprocessing(size=2, mean=(0.0, 0.0, 0.0), resize="warp", resize_to=4)
BLUE_BGR = np.full((4, 4, 3), (200, 20, 10), np.uint8)


def test_an_array_gives_the_same_input_as_its_file(tmp_path: Path) -> None:
    """The same image as file, BGR array and RGB array gives the same input; blue is the first channel of BGR."""
    cv2.imwrite(str(tmp_path / "blue.png"), BLUE_BGR)
    from_file = read_input(tmp_path / "blue.png", SMALL)
    np.testing.assert_array_equal(from_file, np.full((2, 2, 3), (200, 20, 10)))
    np.testing.assert_array_equal(read_input(str(tmp_path / "blue.png"), SMALL), from_file)
    np.testing.assert_array_equal(read_input(BLUE_BGR, SMALL, "bgr"), from_file)
    np.testing.assert_array_equal(read_input(BLUE_BGR[..., ::-1], SMALL, "rgb"), from_file)
    np.testing.assert_array_equal(read_input(BLUE_BGR, SMALL, "rgb"), np.full((2, 2, 3), (10, 20, 200)))


def test_gray_needs_no_order_and_stays_gray() -> None:
    gray = np.arange(16, dtype=np.uint8).reshape(4, 4) * 16
    np.testing.assert_array_equal(array_to_bgr(gray, None), np.stack([gray] * 3, axis=2))
    mnist = Preprocessing(size=4, mean=(0.0,), std=(1.0,), channel_order="GRAY", resize_to=4)
    np.testing.assert_array_equal(read_input(gray, mnist)[..., 0], gray)


@pytest.mark.parametrize(
    ("array", "order", "message"),
    [
        (BLUE_BGR, None, r"a colour array needs channel_order 'rgb' or 'bgr', which is never guessed; got None"),
        (BLUE_BGR, "RGB", r"a colour array needs channel_order .*; got 'RGB'"),
        (BLUE_BGR.astype(np.float32), "rgb", r"expected an array of uint8, 0 to 255, got float32; convert it"),
        (BLUE_BGR.astype(np.int64), "rgb", r"expected an array of uint8, .* got int64"),
        (np.zeros((4, 4, 4), np.uint8), "rgb", r"expected an array \(height, width, 3\) or, .*, got \(4, 4, 4\)"),
        (np.zeros((3, 4, 5), np.uint8), "rgb", r"got \(3, 4, 5\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "rgb", r"got \(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "rgb", r"got \(0, 4, 3\)"),
        (np.zeros(4, np.uint8), None, r"got \(4,\)"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, order: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_input(array, SMALL, order)  # type: ignore[arg-type]
