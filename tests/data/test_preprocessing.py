import json
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.data.network_input import to_input
from finetune.data.preprocessing import CAFFE_MEAN_BGR, Preprocessing
from finetune.data.resize import resize
from finetune.errors import UsageError, WeightsError

CROP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR)
WARP = Preprocessing(size=227, mean=CAFFE_MEAN_BGR, resize="warp")


def framed(height: int, width: int, top: int, left: int, side: int) -> NDArray[np.uint8]:
    """Return a black picture with a white square."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[top : top + side, left : left + side] = 255
    return picture


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
        (256, 4001, 14, 1887),  # the ends of a picture this long are cut off before
        (4001, 256, 1887, 14),
    ],
)
def test_the_crop_is_the_centre(height: int, width: int, top: int, left: int) -> None:
    """The white square is where the crop must be: all of it white, and one pixel aside no longer."""
    assert to_input(framed(height, width, top, left, 227), CROP).mean() == 255
    for aside in (framed(height, width, top + 1, left, 227), framed(height, width, top, left + 1, 227)):
        assert to_input(aside, CROP).mean() < 255


@pytest.mark.parametrize(("height", "width"), [(512, 600), (600, 512), (768, 768), (512, 3000)])
def test_the_short_side_comes_to_256_before_the_crop(height: int, width: int) -> None:
    """A whole ratio keeps the edge of the white square sharp."""
    ratio = min(height, width) // 256
    top, left = (height // ratio - 227) // 2 * ratio, (width // ratio - 227) // 2 * ratio
    assert to_input(framed(height, width, top, left, 227 * ratio), CROP).mean() == 255
    assert to_input(framed(height, width, top + ratio, left, 227 * ratio), CROP)[0].max() == 0


def test_size_and_short_side_of_other_networks() -> None:
    assert Preprocessing(size=163, mean=CAFFE_MEAN_BGR).resize_to == 184  # 163 · 256 / 227 = 183.8
    preprocessing = Preprocessing(size=10, resize_to=14, mean=CAFFE_MEAN_BGR)
    assert to_input(framed(14, 21, 2, 5, 10), preprocessing).mean() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 70_000), (255, 257), (227, 227), (4000, 3)])
@pytest.mark.parametrize("preprocessing", [CROP, WARP], ids=["crop", "warp"])
def test_any_shape_gives_the_square(shape: tuple[int, int], preprocessing: Preprocessing) -> None:
    result = to_input(np.full((*shape, 3), (10, 20, 30), np.uint8), preprocessing)
    assert result.shape == (227, 227, 3)
    assert (result == (10, 20, 30)).all()


def test_a_very_long_picture_does_not_grow_before_the_crop() -> None:
    """To 256 × 768,000 pixels it would, 590 MB."""
    picture = np.zeros((1, 3000, 3), np.uint8)
    tracemalloc.start()
    to_input(picture, CROP)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_warp_keeps_the_corners_where_the_crop_loses_them() -> None:
    picture = np.zeros((227, 454, 3), np.uint8)
    picture[:, :2] = 255
    assert to_input(picture, WARP)[:, 0].min() == 255
    assert to_input(picture, WARP)[:, 1:].max() == 0
    assert to_input(picture, CROP).max() == 0


def test_shrinking_takes_the_mean_of_the_area() -> None:
    gray = np.array([[0, 40, 8, 8], [80, 120, 8, 8], [1, 3, 100, 200], [5, 7, 200, 100]], np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    assert resize(picture, 2, 2)[..., 0].tolist() == [[60, 8], [4, 150]]
    assert resize(picture, 4, 2)[..., 0].tolist() == [[40, 80, 8, 8], [3, 5, 150, 150]]
    assert resize(picture, 1, 1)[..., 0].tolist() == [[56]]  # 888 / 16 = 55.5; two of four samples would give another


def test_fine_stripes_become_gray_and_no_pattern() -> None:
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::4] = 200
    assert np.unique(to_input(stripes, CROP)).tolist() == [50]


def test_channel_order() -> None:
    picture = np.full((8, 8, 3), (10, 100, 200), np.uint8)  # blue, green, red
    assert to_input(picture, Preprocessing(4, (0, 0, 0), channel_order="BGR"))[0, 0].tolist() == [10, 100, 200]
    assert to_input(picture, Preprocessing(4, (0, 0, 0), channel_order="RGB"))[0, 0].tolist() == [200, 100, 10]
    gray = to_input(picture, Preprocessing(4, (0,), (1,), channel_order="GRAY"))
    assert gray.shape == (4, 4, 1)
    assert gray[0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 10)  # ITU-R BT.601


@pytest.mark.parametrize("order", ["BGR", "RGB", "GRAY"])
def test_the_picture_itself_is_left_alone_and_the_result_is_its_own(order: Any) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    before, channels = picture.copy(), 1 if order == "GRAY" else 3
    result = to_input(picture, Preprocessing(300, (0,) * channels, (1,) * channels, order, resize_to=300))
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(picture, before)


def test_normalize_by_hand() -> None:
    preprocessing = Preprocessing(size=1, mean=(10, 20, 30), std=(1, 2, 4))
    values = preprocessing.normalize(np.array([[[11, 24, 20]], [[0, 255, 30]]], np.uint8))
    assert values.dtype == np.float32
    assert values.tolist() == [[[1, 2, -2.5]], [[-10, 117.5, 0]]]


def test_caffe_mean() -> None:
    """In BGR order and units of 0 to 255, nothing divided."""
    values = Preprocessing(size=227, mean=CAFFE_MEAN_BGR).normalize(np.zeros((2, 1, 1, 3), np.uint8))
    np.testing.assert_array_equal(values[1, 0, 0], np.float32([-104.007, -116.669, -122.679]))


@pytest.mark.parametrize(
    "preprocessing",
    [
        CROP,
        WARP,
        Preprocessing(28, (33.3,), (78.6,), "GRAY", "warp", 28),
        Preprocessing(224, (1, 2, 3), (4, 5, 6), "RGB"),
    ],
)
def test_json_round_trip(preprocessing: Preprocessing) -> None:
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"resize": "stretch"}, "resize must be one of crop, warp, not 'stretch'"),
        ({"channel_order": "rgb"}, "channel_order must be one of BGR, RGB, GRAY, not 'rgb'"),
        ({"resize_to": 226}, "a crop of 227 pixels does not fit into 226; size must be 1 to resize_to"),
        ({"size": 0, "resize_to": 5}, "a crop of 0 pixels does not fit into 5; size must be 1 to resize_to"),
        ({"mean": (1.0,)}, "mean and std need 3 values for BGR, not 1 and 3"),
        ({"channel_order": "GRAY"}, "mean and std need 1 values for GRAY, not 3 and 3"),
    ],
)
def test_values_that_make_no_sense(change: dict[str, Any], message: str) -> None:
    fields = {"size": 227, "mean": CAFFE_MEAN_BGR, **change}
    with pytest.raises(UsageError) as caught:
        Preprocessing(**fields)
    assert str(caught.value) == message
    with pytest.raises(WeightsError) as caught_in_file:
        Preprocessing.from_json({"std": (1, 1, 1), **fields})
    wrapped = f"the preprocessing in the file cannot be understood ({message}); write the file again"
    assert str(caught_in_file.value) == wrapped


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
def test_json_that_is_no_preprocessing(fields: dict[str, Any]) -> None:
    with pytest.raises(
        WeightsError, match=r"^the preprocessing in the file cannot be understood \(.+\); write the file"
    ):
        Preprocessing.from_json(fields)
