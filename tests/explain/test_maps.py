"""Grad-CAM and occlusion on networks whose maps can be worked out on paper, and Grad-CAM on every network."""

from collections.abc import Callable

import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.errors import UsageError
from finetune.explain import grad_cam, occlusion
from finetune.model import Model
from finetune.networks import NETWORKS, build
from finetune.networks.initialize import fresh_weights
from finetune.networks.layers import Conv, Dense

Handmade = Callable[..., Classifier]


def one_convolution(handmade: Handmade) -> Classifier:
    """Channel 0 is the pixel x, channel 1 is 10 - x; averaged over positions, the weights of "yes" are 3 and -1.

    A gradient of a linear layer is its weight, so Grad-CAM of "yes" is ReLU(3 x - (10 - x)) = ReLU(4 x - 10).
    """
    spread = np.array([-2, 2, -1, 1, 0, 0, 5, -5, -2, 2, -1, 1, 0, 0, 5, -5])  # its mean is 0
    yes = np.stack([3 + spread, -1 - spread], axis=1)  # (positions, channels), as the dense layer flattens them
    return handmade(
        (Conv("conv1", 2, 1), Dense("fc", 2, relu=False)),
        {
            "conv1/kernel": [[[[1, -1]]]],
            "conv1/bias": [0, 10],
            "fc/kernel": np.stack([yes.ravel(), np.full(32, -1)], axis=1),
            "fc/bias": [0, 0],
        },
        size=4,
    )


@pytest.mark.tensorflow
def test_grad_cam_by_hand(handmade: Handmade) -> None:
    x = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 0], [0, 0, 0, 5]], np.uint8)
    yes, no = grad_cam(one_convolution(handmade), x[..., None], [0, 1])
    expected = np.maximum(4.0 * x - 10, 0) / 30
    np.testing.assert_allclose(yes, expected, atol=1e-6)
    assert yes.dtype == np.float32
    assert not no.any()  # nothing supports a class with only negative weights: no division by 0


@pytest.mark.tensorflow
def test_grad_cam_is_enlarged_linearly(handmade: Handmade) -> None:
    """Of 2 × 2 cells only the last is above 0; pixel centres are at a quarter and three quarters of a cell."""
    classifier = handmade(
        (Conv("conv1", 1, 2, strides=2), Dense("fc", 2, relu=False)),
        {
            "conv1/kernel": np.full((2, 2, 1, 1), 0.25),
            "conv1/bias": [0],
            "fc/kernel": [[1, 0]] * 4,
            "fc/bias": [0, 0],
        },
        size=4,
    )
    x = np.zeros((4, 4, 1), np.uint8)
    x[2:, 2:] = 8
    (yes,) = grad_cam(classifier, x, [0])
    along = np.array([0, 0.25, 0.75, 1])
    np.testing.assert_allclose(yes, np.outer(along, along), atol=1e-6)


def test_grad_cam_layers(handmade: Handmade) -> None:
    classifier = one_convolution(handmade)
    x = np.zeros((4, 4, 1), np.uint8)
    with pytest.raises(
        UsageError,
        match=r"--layer: handmade has no layer 'conv2' \(did you mean conv1\?\); the layers with height and width",
    ):
        grad_cam(classifier, x, [0], "conv2")
    with pytest.raises(
        UsageError, match="the output of fc has no height and width to draw; the layers with height and width are"
    ):
        grad_cam(classifier, x, [0], "fc")


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_of_every_network(name: str) -> None:
    size = {"alexnet-mnist": 16, "vgg16": 32}.get(name, 67)
    network = build(name, {"num_classes": 3, "input_size": size, "fc_units": 8})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=1)
    x = np.random.default_rng(0).integers(0, 256, network.input_shape).astype(np.uint8)
    maps = grad_cam(Classifier(Model(network, weights, ("a", "b", "c"))), x, [2, 0, 1])
    assert maps.shape == (3, size, size)
    # The weights of a layer's channels differ in sign between classes, so that not all maps can be empty.
    assert maps.max() == 1
    assert maps.min() >= 0


def one_pixel(handmade: Handmade, row: int, column: int, **about: object) -> tuple[Classifier, np.ndarray]:
    """Return a classifier that uses a single pixel, and an image in which that pixel differs from the mean.

    The logit of "yes" is (150 - 100) · 0.04 = 2, and 0 when the pixel is covered with the mean.
    """
    kernel = np.zeros((12, 12, 2))
    kernel[row, column, 0] = 0.04
    layers = (Dense("fc", 2, relu=False),)
    x = np.full((12, 12, 1), 100, np.uint8)
    x[row, column] = 150
    weights = {"fc/kernel": kernel.reshape(144, 2), "fc/bias": [0, 0]}
    return handmade(layers, weights, size=12, mean=99.7, **about), x


@pytest.mark.tensorflow
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_occlusion_by_hand(handmade: Handmade, temperature: float) -> None:
    """In 12 pixels, squares are 2 × 2 and one pixel apart; two of the four over a neighbour cover the pixel too."""
    classifier, x = one_pixel(handmade, 5, 7, temperature=temperature)
    before = x.copy()
    logit = (150 - 99.7) * 0.04
    covered = (100 - 99.7) * 0.04  # the mean rounded to a whole number
    drop = 1 / (1 + np.exp(-logit / temperature)) - 1 / (1 + np.exp(-covered / temperature))
    expected = np.zeros((12, 12))
    expected[4:7, 6:9] = drop * np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])
    yes, no = occlusion(classifier, x, [0, 1])
    np.testing.assert_allclose(yes, expected, atol=1e-6)
    np.testing.assert_allclose(no, -expected, atol=1e-6)
    np.testing.assert_array_equal(x, before)


@pytest.mark.tensorflow
def test_occlusion_reaches_the_corner(handmade: Handmade) -> None:
    """Four squares cover the corner pixel, although three of them reach beyond the image."""
    classifier, x = one_pixel(handmade, 0, 0)
    (yes,) = occlusion(classifier, x, [0])
    assert yes[0, 0] == pytest.approx(1 / (1 + np.exp(-2.012)) - 1 / (1 + np.exp(-0.012)), abs=1e-6)
    np.testing.assert_allclose(yes[:3, 0] / yes[0, 0], [1, 0.5, 0], atol=1e-5)
    assert abs(yes[2:, 2:]).max() < 1e-6
