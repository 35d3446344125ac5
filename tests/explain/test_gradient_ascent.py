"""The image that drives a unit most: a kernel where the unit is linear, and more than any photo in a deep layer."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.classifier import Classifier, load
from finetune.errors import UsageError
from finetune.explain import driving_images, show_optimized_images
from finetune.explain.gradient_ascent import GradientAscent
from finetune.explain.types import OptimizedImage
from finetune.networks.layers import Conv, Dense, MaxPool
from finetune.networks.numpy_forward import activations

Handmade = Callable[..., Classifier]


@pytest.fixture(scope="module")
def starter() -> Classifier:
    return load("starter")


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first.ravel().astype(float), second.ravel().astype(float))[0, 1])


def value_of(classifier: Classifier, made: OptimizedImage, layer: str, start: int) -> float:
    """Return the middle unit's value before its ReLU, by NumPy, for the image on a square of the mean colour."""
    preprocessing = classifier.model.network.preprocessing
    x = np.zeros((1, *classifier.model.network.input_shape), np.float32)
    stop = start + len(made.image)
    x[0, start:stop, start:stop] = preprocessing.normalize(made.image[..., ::-1])
    network, weights = classifier.model.network, classifier.model.weights
    for name, output in activations(network.layers, weights, x):
        if name == layer:
            return float(output[0, output.shape[1] // 2, output.shape[2] // 2, made.channel])
    raise AssertionError(layer)


@pytest.mark.slow
def test_the_first_convolution_is_driven_by_its_kernels(starter: Classifier) -> None:
    """What is seen is 11 × 11 pixels in RGB; the kernel is in BGR."""
    kernels = starter.model.weights["conv1/kernel"].astype(np.float32)
    ascent = GradientAscent(starter, "conv1")
    for channel in (0, 8, 91, 93):  # two gray ones, green, red
        made = ascent.image(channel)
        assert made.image.shape == (11, 11, 3)
        assert correlation(made.image[..., ::-1], kernels[..., channel]) > 0.9  # measured: 0.97 and more
        assert made.value == pytest.approx(value_of(starter, made, "conv1", 19 * 4), abs=1e-4)
        assert 30 < made.image.std() < 50, "the contrast of a photo"


@pytest.mark.slow
def test_more_than_any_photo(starter: Classifier, shared: Path) -> None:
    """conv5 sees all of 163 pixels. Measured: 110, 93 and 97 where the best of 400 photos give 18, 13 and 11."""
    channels = (227, 175, 169)
    photos = driving_images(starter, sorted((shared / "data").rglob("*.jpg")), "conv5", channels, top=1)
    ascent = GradientAscent(starter, "conv5")
    for channel, (best,) in photos.channels:
        made = ascent.image(channel)
        assert made.image.shape == (163, 163, 3)
        assert made.value > 3 * best.value
        assert made.value == pytest.approx(value_of(starter, made, "conv5", 0), rel=1e-3)


@pytest.fixture
def linear(handmade: Handmade) -> Classifier:
    """Two kernels of 5 × 5 whose ReLU is off for every image, below a pooling and a sum."""
    kernels = np.random.default_rng(2).normal(size=(5, 5, 1, 2))
    return handmade(
        (Conv("conv1", 2, 5), MaxPool("pool1", 2, 2), Dense("fc", 2, relu=False)),
        {"conv1/kernel": kernels, "conv1/bias": [-1e6, -1e6], "fc/kernel": np.eye(8)[:, :2], "fc/bias": [0, 0]},
        size=9,
        mean=128.0,
    )


def test_a_unit_that_is_off_is_driven_too(linear: Classifier) -> None:
    """What increases is the value before the ReLU; the mean of 128 leaves the sigmoid symmetric."""
    ascent = GradientAscent(linear, "conv1")
    kernels = linear.model.weights["conv1/kernel"]
    made = [ascent.image(channel) for channel in (0, 1)]
    for channel, (_, image, value) in enumerate(made):
        assert correlation(image[..., 0], kernels[..., channel]) > 0.95
        assert value == pytest.approx(-1e6 + ((image[..., 0] - 128.0) * kernels[..., 0, channel]).sum(), abs=0.5)
    assert correlation(made[0].image, made[1].image) < 0.5


def test_the_same_image_every_time(linear: Classifier, tmp_path: Path) -> None:
    """Whatever other channels are asked for, and in a file byte for byte."""
    both = show_optimized_images(linear, tmp_path / "both.svg", "conv1:linear", [0, 1])
    (alone,) = show_optimized_images(linear, tmp_path / "alone.png", None, [1])
    np.testing.assert_array_equal(alone.image, both[1].image)
    assert alone.value == both[1].value
    show_optimized_images(linear, tmp_path / "again.png", "conv1", [1])
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    assert cv2.imread(str(tmp_path / "alone.png")) is not None
    drawn = (tmp_path / "both.svg").read_text(encoding="utf-8")
    assert "handmade: images made for channels of conv1:linear" in drawn


def test_a_fully_connected_layer_sees_everything(handmade: Handmade) -> None:
    """A logit has no ReLU; the image is the whole input."""
    template = np.random.default_rng(4).normal(size=(6, 6))
    weights = {"fc/kernel": np.stack([template.ravel(), -template.ravel()], axis=1), "fc/bias": [0, 0]}
    classifier = handmade((Dense("fc", 2, relu=False),), weights, size=6, mean=128.0)
    made = GradientAscent(classifier, "fc").image(1)
    assert made.image.shape == (6, 6, 3)
    assert correlation(made.image[..., 0], -template) > 0.95


def test_wrong_arguments(linear: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    with pytest.raises(UsageError, match=r"^pool1 is not a convolution or fully connected layer of handmade"):
        show_optimized_images(linear, out, "pool1", [0])
    with pytest.raises(UsageError, match=r"^conv2 is not .* \(did you mean conv1\?\); those are conv1, fc$"):
        show_optimized_images(linear, out, "conv2", [0])
    with pytest.raises(UsageError, match=r"^--channel: the channels of conv1 are 0 to 1, not 7$"):
        show_optimized_images(linear, out, None, [7])
    with pytest.raises(UsageError, match=r"^--optimize needs the channels to draw; give --channel, e\.g\. --layer"):
        show_optimized_images(linear, out, None, [])
    assert not out.exists()
