"""Kernels as images with the right colours, and the strongest channels of a layer, worked out by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.errors import ImageError, UsageError
from finetune.explain import kernel_images, show_filters, strongest_activations
from finetune.model import Model
from finetune.networks import build
from finetune.networks.layers import Conv, Dense

Handmade = Callable[..., Classifier]


@pytest.fixture
def answers(handmade: Handmade) -> Classifier:
    """Three channels: x, 2 x and 20 - x."""
    return handmade(
        (Conv("conv1", 3, 1), Dense("fc", 2, relu=False)),
        {"conv1/kernel": [[[[1, 2, -1]]]], "conv1/bias": [0, 0, 20], "fc/kernel": np.zeros((48, 2)), "fc/bias": [0, 0]},
        size=4,
    )


@pytest.mark.parametrize(("name", "red"), [("alexnet", 2), ("alexnet-owt", 0)])
def test_red_is_red_whatever_the_order_of_the_channels(tiny_model: Model, name: str, red: int) -> None:
    network = build(name, {"num_classes": 3, "input_size": 67, "fc_units": 8})
    kernel = np.zeros(network.weight_shapes()["conv1/kernel"], np.float32)
    kernel[:5, :, red, 0] = 2
    kernel[:5, :, :, 1] = -3
    kernel[..., 2] = 7
    images = kernel_images(Classifier(replace(tiny_model, network=network, weights={"conv1/kernel": kernel})))
    assert images.shape == (kernel.shape[3], 11, 11, 3)
    np.testing.assert_array_equal(images[0, :5], np.broadcast_to([1, 0, 0], (5, 11, 3)))
    assert not images[0, 5:].any()
    np.testing.assert_array_equal(images[1, :, 0, 0], [0] * 5 + [1] * 6)  # each scaled to its own range
    np.testing.assert_array_equal(images[2], np.full((11, 11, 3), 0.5))  # flat


def test_gray_kernels(answers: Classifier) -> None:
    assert kernel_images(answers).shape == (3, 1, 1, 3)


def test_each_kernel_is_drawn_in_its_place(tiny_model: Model, tmp_path: Path) -> None:
    """Of 96 kernels number 0 is red and number 95 green: the corners of the grid, in the file's own colours."""
    kernel = np.ones((11, 11, 3, 96), np.float32)
    kernel[..., :2, 0] = 0
    kernel[..., ::2, 95] = 0
    weights = {**tiny_model.weights, "conv1/kernel": kernel}
    assert show_filters(Classifier(replace(tiny_model, weights=weights)), tmp_path / "kernels.png") == ()
    drawn = cv2.imread(str(tmp_path / "kernels.png"))
    rows, columns = np.nonzero((drawn == (0, 0, 255)).all(axis=2))
    assert rows.max() < drawn.shape[0] / 4
    assert columns.max() < drawn.shape[1] / 4
    rows, columns = np.nonzero((drawn == (0, 255, 0)).all(axis=2))
    assert rows.min() > drawn.shape[0] * 3 / 4
    assert columns.min() > drawn.shape[1] * 3 / 4


def test_other_kernels_cannot_be_drawn(tiny_model: Model, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"only the kernels of conv1 work on colours .* IMAGE .* of conv2"):
        show_filters(Classifier(tiny_model), tmp_path / "kernels.png", "conv2")
    assert not list(tmp_path.iterdir())


def test_strongest_activations_by_hand(answers: Classifier, tmp_path: Path) -> None:
    x = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9], [9, 9, 9, 9]], np.uint8)
    cv2.imwrite(str(tmp_path / "x.png"), x)
    found = strongest_activations(answers, tmp_path / "x.png")
    assert [(channel, values.max()) for channel, values in found] == [(2, 20), (1, 18), (0, 9)]
    np.testing.assert_array_equal(found[1].map, 2.0 * x)
    drawn = show_filters(answers, tmp_path / "out.png", "conv1", tmp_path / "x.png")
    assert [channel for channel, _ in drawn] == [2, 1, 0]
    assert cv2.imread(str(tmp_path / "out.png")) is not None


def test_sixteen_at_most(tiny_model: Model, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8))
    found = strongest_activations(Classifier(tiny_model), tmp_path / "x.png", "conv5")
    largest = [values.max() for _, values in found]
    assert len(found) == 16
    assert largest == sorted(largest, reverse=True)


def test_unreadable_image(answers: Classifier, tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"mine")
    with pytest.raises(ImageError, match=r"gone\.png: cannot be opened"):
        show_filters(answers, tmp_path / "out.png", None, tmp_path / "gone.png", overwrite=True)
    with pytest.raises(ImageError, match=r"gone\.png: cannot be opened"):
        strongest_activations(answers, tmp_path / "gone.png")
    assert (tmp_path / "out.png").read_bytes() == b"mine"
