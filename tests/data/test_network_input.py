"""From pixels to the network's square: which part of an image it is, by white squares on black."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.data.network_input import to_input
from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing

CROP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR)
WARP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR, resize="warp")


def framed(height: int, width: int, top: int, left: int, size: int) -> NDArray[np.uint8]:
    """Return a black image with a white square."""
    image = np.zeros((height, width, 3), np.uint8)
    image[top : top + size, left : left + size] = 255
    return image


@pytest.mark.parametrize(
    ("height", "width", "top", "left"),
    [
        (256, 256, 14, 14),  # (256 - 227) // 2
        (256, 300, 14, 36),  # (300 - 227) // 2
        (256, 301, 14, 37),
        (300, 256, 36, 14),
        (301, 256, 37, 14),
        (256, 1000, 14, 386),
        (1000, 256, 386, 14),
        (256, 4001, 14, 1887),  # the ends of an image this long are cut off first
        (4001, 256, 1887, 14),
    ],
)
def test_the_crop_is_the_centre(height: int, width: int, top: int, left: int) -> None:
    """The white square is exactly where the crop must be; moved by one pixel, part of the crop is black."""
    assert to_input(framed(height, width, top, left, 227), CROP).mean() == 255
    for moved in (framed(height, width, top + 1, left, 227), framed(height, width, top, left + 1, 227)):
        assert to_input(moved, CROP).mean() < 255


@pytest.mark.parametrize(("height", "width"), [(512, 600), (600, 512), (768, 768), (512, 3000)])
def test_the_short_side_is_resized_to_256_before_the_crop(height: int, width: int) -> None:
    """A whole ratio keeps the edge of the white square sharp."""
    ratio = min(height, width) // 256
    top, left = (height // ratio - 227) // 2 * ratio, (width // ratio - 227) // 2 * ratio
    assert to_input(framed(height, width, top, left, 227 * ratio), CROP).mean() == 255
    assert to_input(framed(height, width, top + ratio, left, 227 * ratio), CROP)[0].max() == 0


def test_other_sizes() -> None:
    preprocessing = Preprocessing(size=10, resize_to=14, mean=CAFFE_MEAN_BGR)
    assert to_input(framed(14, 21, 2, 5, 10), preprocessing).mean() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 70_000), (255, 257), (227, 227), (4000, 3)])
@pytest.mark.parametrize("preprocessing", [CROP, WARP], ids=["crop", "warp"])
def test_an_image_of_any_shape_becomes_the_square(shape: tuple[int, int], preprocessing: Preprocessing) -> None:
    result = to_input(np.full((*shape, 3), (10, 20, 30), np.uint8), preprocessing)
    assert result.shape == (227, 227, 3)
    assert (result == (10, 20, 30)).all()


def test_warp_keeps_the_edges_that_the_crop_loses() -> None:
    image = np.zeros((227, 454, 3), np.uint8)
    image[:, :2] = 255
    assert to_input(image, WARP)[:, 0].min() == 255
    assert to_input(image, WARP)[:, 1:].max() == 0
    assert to_input(image, CROP).max() == 0


@pytest.mark.parametrize("resize", ["crop", "warp"])
def test_channel_order(resize: Any) -> None:
    image = np.full((8, 8, 3), (10, 100, 200), np.uint8)  # blue, green, red
    bgr, rgb, gray = (
        to_input(image, Preprocessing(4, (0,) * count, (1,) * count, order, resize))  # type: ignore[arg-type]
        for order, count in (("BGR", 3), ("RGB", 3), ("GRAY", 1))
    )
    assert bgr[0, 0].tolist() == [10, 100, 200]
    assert rgb[0, 0].tolist() == [200, 100, 10]
    assert gray.shape == (4, 4, 1)
    assert gray[0, 0, 0] == 120  # 0.299 · 200 + 0.587 · 100 + 0.114 · 10 = 119.64


@pytest.mark.parametrize("order", ["BGR", "RGB", "GRAY"])
def test_the_image_is_not_changed_and_the_result_is_contiguous(order: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    before, channels = image.copy(), 1 if order == "GRAY" else 3
    result = to_input(image, Preprocessing(300, (0,) * channels, (1,) * channels, order, resize_to=300))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(image, before)
