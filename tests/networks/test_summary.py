"""The cost of networks, worked out by hand."""

import json
import subprocess
import sys

import pytest

from finetune.networks import NETWORKS, build
from finetune.networks.summary import LayerSummary, summarize


def test_alexnet_totals() -> None:
    summary = summarize(build("alexnet"))
    assert summary.parameters == 60_965_224
    assert summary.trainable_parameters == 60_965_224
    assert summary.multiply_adds == 724_406_816


@pytest.mark.parametrize(
    ("layer", "multiply_adds"),
    [
        ("conv1", 55 * 55 * 96 * 11 * 11 * 3),
        ("conv2", 27 * 27 * 256 * 5 * 5 * 48),
        ("conv3", 13 * 13 * 384 * 3 * 3 * 256),
        ("conv4", 13 * 13 * 384 * 3 * 3 * 192),
        ("conv5", 13 * 13 * 256 * 3 * 3 * 192),
        ("fc6", 9216 * 4096),
        ("fc7", 4096 * 4096),
        ("fc8", 4096 * 1000),
    ],
)
def test_alexnet_multiply_adds_by_hand(layer: str, multiply_adds: int) -> None:
    found = next(found for found in summarize(build("alexnet")).layers if found.name == layer)
    assert found.multiply_adds == multiply_adds


def test_vgg16_by_hand() -> None:
    """The numbers that courses derive from the paper's table: weights without biases, and the total with them."""
    summary = summarize(build("vgg16"))
    layers = {layer.name: layer for layer in summary.layers}
    assert layers["conv1_1"] == LayerSummary(
        name="conv1_1",
        kind="Conv",
        input_shape=(224, 224, 3),
        output_shape=(224, 224, 64),
        receptive_field=3,
        stride=1,
        neurons=224 * 224 * 64,
        weights={"kernel": 1_728, "bias": 64},
        parameters=1_792,
        multiply_adds=224 * 224 * 1_728,
        activation_bytes=4 * 224 * 224 * 64,
    )
    assert layers["conv1_2"].weights["kernel"] == 36_864
    assert layers["pool5"].output_shape == (7, 7, 512)
    assert layers["fc6"].weights["kernel"] == 102_760_448
    assert layers["fc7"].weights["kernel"] == 16_777_216
    assert layers["fc8"].weights["kernel"] == 4_096_000
    assert summary.parameters == 138_357_544
    assert summary.multiply_adds == 15_470_264_320  # 15.35 G in convolutions, 0.12 G in fully connected layers


def test_alexnet_has_650_thousand_neurons() -> None:
    """Krizhevsky et al. 2012, abstract; figure 2 gives those of each layer, conv1's for two towers of 55 × 55 × 48."""
    summary = summarize(build("alexnet"))
    neurons = {layer.name: layer.neurons for layer in summary.layers if layer.neurons}
    assert neurons == {
        "conv1": 55 * 55 * 96,
        "conv2": 186_624,
        "conv3": 64_896,
        "conv4": 64_896,
        "conv5": 43_264,
        "fc6": 4096,
        "fc7": 4096,
        "fc8": 1000,
    }
    assert summary.neurons == 659_272


def test_activation_memory_is_four_bytes_per_value() -> None:
    layers = {layer.name: layer.activation_bytes for layer in summarize(build("alexnet-mnist")).layers}
    assert layers["conv1"] == 4 * 28 * 28 * 64
    assert layers["pool5"] == 4 * 4 * 4 * 128
    assert layers["fc8"] == 4 * 10


def test_batch_norm_statistics_are_parameters_that_are_not_trained() -> None:
    summary = summarize(build("alexnet-bn"))
    assert summary.parameters - summary.trainable_parameters == summary.non_trainable_parameters == 2_752
    bn1 = next(layer for layer in summary.layers if layer.name == "bn1")
    assert (bn1.kind, bn1.parameters, bn1.multiply_adds) == ("BatchNorm", 4 * 96, 0)


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_sums_of_the_layers(name: str) -> None:
    found = json.loads(json.dumps(summarize(build(name)).to_json()))
    assert {"parameters", "trainable_parameters", "multiply_adds", "layers"} <= set(found)
    for total in ("parameters", "neurons", "multiply_adds", "activation_bytes"):
        assert found[total] == sum(layer[total] for layer in found["layers"])
    assert [layer["name"] for layer in found["layers"]] == [layer.name for layer in build(name).layers]
    assert found["options"] == build(name).options


def test_needs_no_tensorflow() -> None:
    code = "import sys, finetune.networks.summary; print('tensorflow' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
