"""The order of colour channels, by hand."""

import numpy as np
import pytest

from finetune.data.channels import in_channel_order, to_rgb
from finetune.data.preprocessing import ChannelOrder

BGR = np.full((2, 3, 3), (10, 100, 200), np.uint8)  # blue, green, red


@pytest.mark.parametrize(
    ("order", "pixel"),
    [
        ("BGR", [10, 100, 200]),
        ("RGB", [200, 100, 10]),
        ("GRAY", [round(0.299 * 200 + 0.587 * 100 + 0.114 * 10)]),  # ITU-R BT.601
    ],
)
def test_in_channel_order(order: ChannelOrder, pixel: list[int]) -> None:
    result = in_channel_order(BGR, order)
    assert result.tolist() == [[pixel] * 3] * 2
    assert result.dtype == np.uint8


@pytest.mark.parametrize("order", ["BGR", "RGB", "GRAY"])
def test_the_result_is_contiguous_even_for_a_mirrored_crop(order: ChannelOrder) -> None:
    assert in_channel_order(np.zeros((6, 6, 3), np.uint8)[1:4, ::-1], order).flags.c_contiguous


@pytest.mark.parametrize(
    ("order", "pixel", "rgb"),
    [("BGR", [1.5, 2, 3], [3, 2, 1.5]), ("RGB", [1.5, 2, 3], [1.5, 2, 3]), ("GRAY", [7.5], [7.5] * 3)],
)
def test_to_rgb(order: ChannelOrder, pixel: list[float], rgb: list[float]) -> None:
    assert to_rgb(np.array([[pixel]]), order).tolist() == [[rgb]]
