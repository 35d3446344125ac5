"""Which layers have maps, and what is said about those that have none."""

import pytest

from finetune.errors import UsageError
from finetune.explain.map_layer import check_map_layer, first_convolution, last_convolution
from finetune.networks import build


def test_first_and_last_convolution() -> None:
    assert (first_convolution(build("alexnet")), last_convolution(build("alexnet"))) == ("conv1", "conv5")
    assert (first_convolution(build("vgg16")), last_convolution(build("vgg16"))) == ("conv1_1", "conv5_3")


def test_layers_with_height_and_width() -> None:
    network = build("alexnet")
    for name in ("conv1", "norm1", "pool5"):
        assert check_map_layer(network, name) == name


def test_other_layers() -> None:
    with pytest.raises(UsageError) as error:
        check_map_layer(build("alexnet"), "conv6")
    layers = "conv1, norm1, pool1, conv2, norm2, pool2, conv3, conv4, conv5, pool5"
    assert str(error.value) == (
        f"--layer: alexnet has no layer 'conv6' (did you mean conv5?); the layers with height and width are {layers}"
    )
    with pytest.raises(UsageError, match="--layer: the output of fc8 has no height and width to draw; the layers with"):
        check_map_layer(build("alexnet"), "fc8")
