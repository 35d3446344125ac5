"""The PNG of a map: its shape, where the map is in it, and its colours."""

import cv2
import numpy as np
import pytest

from finetune.data.preprocessing import Preprocessing
from finetune.serving.overlay import LONGEST_SIDE, overlay

MEAN = (0.0, 0.0, 0.0)


def drawn(shape: tuple[int, int], preprocessing: Preprocessing) -> np.ndarray:
    values = np.zeros((preprocessing.size, preprocessing.size), np.float32)
    values[0, 0] = 1  # top left
    return cv2.imdecode(np.frombuffer(overlay(values, shape, preprocessing), np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_crop_leaves_the_margin_transparent() -> None:
    """100 × 200 pixels, whose short side becomes 50, of which 40 are seen: the middle 80 of 100, at half their size."""
    png = drawn((100, 200), Preprocessing(40, MEAN, resize_to=50))
    assert png.shape == (50, 100, 4)
    seen = png[..., 3] == 255
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (5, 44, 30, 69)
    assert seen.sum() == 40 * 40
    assert not png[~seen].any()
    assert png[5, 30, :3].sum() > 600  # the brightest of inferno
    assert png[44, 69, :3].tolist() == [4, 0, 0]  # its darkest, in BGR


def test_a_warped_input_is_the_whole_image() -> None:
    png = drawn((60, 30), Preprocessing(40, MEAN, resize="warp", resize_to=40))
    assert png.shape == (80, 40, 4)
    assert (png[..., 3] == 255).all()


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1), (7, 7)])
def test_any_shape(shape: tuple[int, int]) -> None:
    png = drawn(shape, Preprocessing(40, MEAN, resize_to=50))
    assert max(png.shape) <= LONGEST_SIDE
    assert (png[..., 3] == 255).any()
