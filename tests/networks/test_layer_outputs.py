"""The outputs of a network by name, among them those before a ReLU."""

import numpy as np
import pytest

from finetune.errors import UsageError
from finetune.networks import build
from finetune.networks.layer_outputs import output_shapes, split_relus
from finetune.networks.network import Network
from finetune.networks.numpy_forward import activations, outputs

SMALL = {"num_classes": 5, "input_size": 67, "fc_units": 8}


def network() -> Network:
    return build("alexnet", SMALL)


def test_shapes() -> None:
    """67 pixels and windows of 11, 4 apart: 15 positions."""
    assert output_shapes(network(), ["conv1:linear", "fc7", "drop7"]) == {
        "conv1:linear": (15, 15, 96),
        "fc7": (8,),
        "drop7": (8,),
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fc9", r"alexnet has no layer 'fc9' \(did you mean fc8\?\); its layers are conv1, norm1,.*, and before their"),
        ("pool1:linear", "no layer 'pool1:linear' .*, and before their ReLU conv1:linear, .*, fc7:linear$"),
    ],
)
def test_names_that_do_not_exist(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        output_shapes(network(), ["conv1", name])


def test_no_names() -> None:
    with pytest.raises(UsageError, match="expected the names of one or more layers, got none; give some of conv1, "):
        output_shapes(network(), [])


def test_before_a_relu(random_weights) -> None:
    """The sums by hand: of a fully connected layer, and of one window of a grouped convolution."""
    whole = network()
    weights = random_weights(whole)
    split, renamed = split_relus(whole, weights, ["conv2:linear", "fc7:linear", "fc7"])
    x = np.random.default_rng(0).normal(size=(2, *whole.input_shape)).astype(np.float32)
    expected = dict(activations(whole.layers, weights, x))
    found = dict(activations(split.layers, renamed, x))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    assert found.keys() - expected.keys() == {"conv2:linear", "fc7:linear"}
    sums = expected["fc6"] @ weights["fc7/kernel"] + weights["fc7/bias"]
    np.testing.assert_allclose(found["fc7:linear"], sums, rtol=1e-4, atol=1e-5)
    window = expected["pool1"][0, :3, :3, 48:]  # of the second group, with two pixels of padding before it
    last = np.sum(window * weights["conv2/kernel"][2:, 2:, :, -1]) + weights["conv2/bias"][-1]
    np.testing.assert_allclose(found["conv2:linear"][0, 0, 0, -1], last, rtol=1e-3, atol=1e-4)
    assert (found["fc7:linear"] < 0).any()


def test_nothing_to_split(random_weights) -> None:
    whole = network()
    weights = random_weights(whole)
    assert split_relus(whole, weights, ["conv2"]) == (whole, weights)


@pytest.mark.tensorflow
def test_numpy_and_tensorflow_agree(random_weights) -> None:
    from finetune.networks.compiled import Compiled

    names = ["conv1:linear", "conv2:linear", "conv2", "norm1", "pool5", "fc6:linear", "fc7"]
    split, weights = split_relus(network(), random_weights(network()), names)
    pixels = np.random.default_rng(1).integers(0, 256, (3, *split.input_shape), np.uint8)
    by_numpy = outputs(split.layers, weights, split.preprocessing, pixels, names)
    by_tensorflow = Compiled(split.layers, weights, split.preprocessing, names=names).outputs(pixels)
    assert by_numpy.keys() == by_tensorflow.keys() == set(names)
    for name in names:
        assert by_tensorflow[name].shape == (3, *output_shapes(network(), [name])[name])
        scale = np.abs(by_numpy[name]).max()
        np.testing.assert_allclose(by_tensorflow[name], by_numpy[name], rtol=0, atol=1e-5 * scale)
