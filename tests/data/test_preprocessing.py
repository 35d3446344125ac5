"""The preprocessing of a network: normalization by hand, invalid values, and its form in weights files."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing, with_margin
from finetune.errors import UsageError, WeightsError

CROP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR)
WARP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR, resize="warp")


def test_resize_to_and_short_side() -> None:
    assert Preprocessing(size=163, mean=CAFFE_MEAN_BGR).resize_to == 184  # 163 · 256 / 227 = 183.8
    assert (CROP.resize_to, CROP.short_side) == (256, 256)
    assert (WARP.resize_to, WARP.short_side) == (256, 227)
    assert replace(WARP, interpolation="linear").short_side is None  # a decoder must not average first


@pytest.mark.parametrize(
    ("size", "resize_to", "larger"),
    [(227, 227, 256), (224, 224, 253), (227, 228, 228), (227, 256, 256), (224, 400, 400)],
    ids=["none", "of another size", "small", "as usual", "large"],
)
def test_the_margin_for_crops(size: int, resize_to: int, larger: int) -> None:
    """Only where there is none: 224 · 256 / 227 = 252.6. All else stays."""
    preprocessing = Preprocessing(size, (33.3,), (78.6,), "GRAY", "warp", resize_to)
    assert with_margin(preprocessing) == Preprocessing(size, (33.3,), (78.6,), "GRAY", "warp", larger)


def test_normalize_by_hand() -> None:
    preprocessing = Preprocessing(size=1, mean=(10, 20, 30), std=(1, 2, 4))
    values = preprocessing.normalize(np.array([[[11, 24, 20]], [[0, 255, 30]]], np.uint8))
    assert values.dtype == np.float32
    assert values.tolist() == [[[1, 2, -2.5]], [[-10, 117.5, 0]]]


def test_caffe_mean() -> None:
    """In BGR order and units of 0 to 255, without a division."""
    values = Preprocessing(size=227, mean=CAFFE_MEAN_BGR).normalize(np.zeros((2, 1, 1, 3), np.uint8))
    np.testing.assert_array_equal(values[1, 0, 0], np.float32([-104.007, -116.669, -122.679]))


@pytest.mark.parametrize(
    "preprocessing",
    [
        CROP,
        WARP,
        Preprocessing(28, (33.3,), (78.6,), "GRAY", "warp", 28),
        Preprocessing(224, (1, 2, 3), (4, 5, 6), "RGB"),
        Preprocessing(224, (1, 2, 3), interpolation="linear"),
    ],
)
def test_json_round_trip(preprocessing: Preprocessing) -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


def test_usual_interpolation_is_not_written() -> None:
    """Version 0.1.0 refuses fields that it does not know."""
    assert set(CROP.to_json()) == {"size", "mean", "std", "channel_order", "resize", "resize_to"}
    assert replace(CROP, interpolation="linear").to_json() == {**CROP.to_json(), "interpolation": "linear"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize": "stretch"}, "resize must be one of crop, warp, not 'stretch'"),
        ({"interpolation": "cubic"}, "interpolation must be one of area, linear, not 'cubic'"),
        ({"channel_order": "rgb"}, "channel_order must be one of BGR, RGB, GRAY, not 'rgb'"),
        ({"resize_to": 226}, "a crop of 227 pixels does not fit into 226; size must be 1 to resize_to"),
        ({"size": 0, "resize_to": 5}, "a crop of 0 pixels does not fit into 5; size must be 1 to resize_to"),
        ({"mean": (1.0,)}, "mean and std need 3 values for BGR, not 1 and 3"),
        ({"channel_order": "GRAY"}, "mean and std need 1 values for GRAY, not 3 and 3"),
    ],
)
def test_invalid_values(change: dict[str, Any], message: str) -> None:
    fields = {"size": 227, "mean": CAFFE_MEAN_BGR, **change}
    with pytest.raises(UsageError) as caught:
        Preprocessing(**fields)
    assert str(caught.value) == message
    with pytest.raises(WeightsError) as caught_in_file:
        Preprocessing.from_json({"std": (1, 1, 1), **fields})
    wrapped = f"the preprocessing in the file cannot be understood ({message}); write the file again"
    assert str(caught_in_file.value) == wrapped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 2049, "resize_to": 2049}, "size and resize_to must be whole numbers up to 2048"),
        ({"resize_to": 2049}, "size and resize_to must be whole numbers up to 2048"),
        ({"size": 227.0}, "size and resize_to must be whole numbers up to 2048"),
        ({"size": True}, "size and resize_to must be whole numbers up to 2048"),
        ({"std": (1, 0, 1)}, "mean must be finite numbers, std finite numbers above 0"),
        ({"std": (1, float("inf"), 1)}, "mean must be finite numbers, std finite numbers above 0"),
        ({"mean": (float("nan"), 0, 0)}, "mean must be finite numbers, std finite numbers above 0"),
    ],
)
def test_values_that_a_file_may_not_have(change: dict[str, Any], message: str) -> None:
    """A hostile file must not ask for gigabytes or give NaN."""
    with pytest.raises(WeightsError) as caught:
        Preprocessing.from_json({**CROP.to_json(), **change})
    assert str(caught.value) == (
        f"the preprocessing in the file cannot be understood ({message}); write the file again"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {**CROP.to_json(), "mean": None},
        {**CROP.to_json(), "mean": ["dark", 1, 2]},
        {**CROP.to_json(), "size": "large"},
        {**CROP.to_json(), "colour": "BGR"},
        {name: value for name, value in CROP.to_json().items() if name != "size"},
    ],
)
def test_json_that_is_not_a_preprocessing(fields: dict[str, Any]) -> None:
    with pytest.raises(
        WeightsError, match=r"^the preprocessing in the file cannot be understood \(.+\); write the file"
    ):
        Preprocessing.from_json(fields)
