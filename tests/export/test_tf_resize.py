"""OpenCV's resizing in TensorFlow: the same pixels as in `finetune.data`."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from finetune.data import network_input
from finetune.data import resize as data_resize
from finetune.data.channels import Image
from finetune.data.preprocessing import Preprocessing
from finetune.export.tf_resize import resize, to_input

SIZES = [  # height and width before, then after
    ((30, 40), (25, 33)),
    ((64, 48), (32, 24)),  # half: .5 is rounded up
    ((90, 60), (30, 20)),  # whole factors
    ((120, 200), (27, 31)),
    ((20, 30), (51, 76)),
    ((1, 1), (9, 9)),
    ((2, 3), (40, 60)),
    ((33, 44), (33, 44)),
    ((5, 90), (12, 12)),  # one side grows, the other shrinks, and so does the area
    ((90, 5), (12, 12)),
    ((10, 20), (9, 40)),  # the area grows
]


def pixels(height: int, width: int, seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def same(found: Image, expected: Image, allowed: float) -> None:
    """Averages may differ by 1 in a few pixels: the order of a sum decides how .5 is rounded."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() <= allowed


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_every_way_of_resizing(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = pixels(*before)
    expected = data_resize.resize(image, after[1], after[0])
    found = resize(tf.constant(image), tf.constant(after[1]), tf.constant(after[0])).numpy()
    averaged = after[0] <= before[0] and after[1] <= before[1]
    same(found, expected, allowed=0.002 if averaged else 0)


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_linear_interpolation(before: tuple[int, int], after: tuple[int, int]) -> None:
    image = pixels(*before)
    expected = cv2.resize(image, after[::-1], interpolation=cv2.INTER_LINEAR)
    found = resize(tf.constant(image), tf.constant(after[1]), tf.constant(after[0]), "linear").numpy()
    same(found, expected, allowed=0)  # type: ignore[arg-type]


def test_half_by_hand() -> None:
    """OpenCV rounds the mean 1.5 of 1, 2, 2, 1 to 2, and the mean .5 of 0, 1, 1, 0 to 1."""
    image = np.uint8([[1, 2, 0, 1], [2, 1, 1, 0]])[..., None].repeat(3, axis=2)
    assert resize(tf.constant(image), tf.constant(2), tf.constant(1)).numpy()[0, :, 0].tolist() == [2, 1]


@pytest.mark.parametrize("shape", [(300, 401), (401, 300), (40, 31), (1, 500), (130, 3), (114, 57)])
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(size=57, mean=(0, 0, 0), channel_order="RGB"),
        Preprocessing(size=57, mean=(0, 0, 0), channel_order="RGB", resize="warp"),
        Preprocessing(size=28, mean=(0,), std=(255,), channel_order="GRAY", resize_to=28),
        Preprocessing(size=57, mean=(0, 0, 0), channel_order="RGB", interpolation="linear"),
        Preprocessing(size=57, mean=(0, 0, 0), channel_order="RGB", resize="warp", interpolation="linear"),
    ],
)
def test_network_input(shape: tuple[int, int], preprocessing: Preprocessing) -> None:
    image = pixels(*shape, seed=1)
    found = to_input(tf.constant(image[..., ::-1].copy()), preprocessing).numpy()
    expected = network_input.to_input(image, preprocessing)
    same(found, expected, allowed=0.001)
