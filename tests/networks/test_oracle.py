"""AlexNet and CaffeNet against the activations that OpenCV's Caffe reader computed from the same file and photo."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from finetune.formats.caffemodel import read_caffemodel
from finetune.networks import Network, build
from finetune.networks.forward import activations
from finetune.networks.layers import Dropout
from finetune.pretrained.load import load_weights

ORACLE = Path(__file__).parents[2].parent / "shared" / "oracle"
pytestmark = pytest.mark.skipif(not ORACLE.is_dir(), reason=f"no oracle at {ORACLE}")

TOLERANCE = 1e-4  # of each layer's largest value: two float32 computations that sum in different orders
NAMES = ("alexnet", "caffenet")


def small(name: str) -> Network:
    """Return the network of `…_small.prototxt`: fully connected layers of 64, 64 and 10 units."""
    return build(name, {"num_classes": 10, "fc_units": 64})


def differences(name: str, oracle: str, file: str = "alexnet_small.caffemodel") -> dict[str, float]:
    """Return each layer's largest difference from the oracle, relative to the layer's largest value."""
    network = small(name)
    weights = load_weights(network, read_caffemodel(ORACLE / file))
    image = np.load(ORACLE / "input_bgr_uint8.npy")
    x = tf.constant(network.preprocessing.normalize(image[None]))
    found = {layer: y.numpy()[0] for layer, y in activations(network.layers, weights, x)}
    found["prob"] = tf.nn.softmax(found["fc8"]).numpy()
    with np.load(ORACLE / f"{oracle}_activations.npz") as expected:
        return {layer: difference(found, layer, expected[layer]) for layer in expected}


def difference(found: dict[str, np.ndarray], layer: str, expected: np.ndarray) -> float:
    name = layer.removesuffix("_every_5th")
    actual = found[name] if name == layer else found[name][::5, ::5]
    if actual.shape != expected.shape:
        return np.inf
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("file", ["alexnet_small.caffemodel", "alexnet_small_v1.caffemodel"])
@pytest.mark.parametrize("name", NAMES)
def test_every_layer_matches(name: str, file: str) -> None:
    found = differences(name, name, file)
    assert len(found) == 14  # conv1 to fc8, and prob
    assert {layer: value for layer, value in found.items() if not value <= TOLERANCE} == {}


@pytest.mark.parametrize(("name", "oracle"), [NAMES, NAMES[::-1]])
def test_the_other_order_fails(name: str, oracle: str) -> None:
    found = differences(name, oracle)
    assert found["conv1_every_5th"] <= TOLERANCE  # the same file and photo
    for layer in ("conv3", "conv5", "fc6", "fc8"):  # of one shape in both
        assert 100 * TOLERANCE < found[layer] < np.inf


@pytest.mark.parametrize("name", NAMES)
def test_layers_are_those_of_the_prototxt(name: str) -> None:
    prototxt = (ORACLE / f"{name}_small.prototxt").read_text()
    layers = re.findall(r'layer { name: "(\w+)" type: "(\w+)"', prototxt)
    assert [layer.name for layer in small(name).layers if not isinstance(layer, Dropout)] == [
        layer for layer, kind in layers if kind not in ("ReLU", "Softmax")
    ]
