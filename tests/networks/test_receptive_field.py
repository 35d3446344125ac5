"""What a unit sees: published figures, and for every network the pixels that change it."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from finetune.networks import NETWORKS, Network, build
from finetune.networks.layers import AdaptiveAveragePool, BatchNorm, Conv, Dense, Layer
from finetune.networks.numpy_forward import activations
from finetune.networks.receptive_field import receptive_field, stride

# Side of the field and stride: for AlexNet and VGG16 those of Mahendran and Vedaldi 2015, "Understanding Deep Image
# Representations by Inverting Them", and of many courses; for the others by hand, from kernels and strides.
PUBLISHED = {
    "alexnet": {
        "conv1": (11, 4), "pool1": (19, 8), "conv2": (51, 8), "pool2": (67, 16), "conv3": (99, 16),
        "conv4": (131, 16), "conv5": (163, 16), "pool5": (195, 32), "fc6": (355, None),
    },
    "caffenet": {"norm1": (19, 8), "conv2": (51, 8), "norm2": (67, 16), "conv5": (163, 16), "pool5": (195, 32)},
    "alexnet-owt": {"conv1": (11, 4), "conv2": (51, 8), "conv5": (163, 16), "avgpool": (195, 32), "fc8": (355, None)},
    "alexnet-book": {"conv1": (11, 4), "conv2": (51, 8), "conv5": (163, 16), "pool5": (195, 32)},
    "alexnet-bn": {"bn1": (11, 4), "conv2": (51, 8), "bn5": (163, 16), "pool5": (195, 32)},
    "alexnet-mnist": {"conv1": (3, 1), "pool1": (4, 2), "conv2": (8, 2), "pool2": (10, 4), "conv5": (34, 4)},
    "vgg16": {
        "conv1_2": (5, 1), "pool1": (6, 2), "conv2_2": (14, 2), "pool2": (16, 4), "conv3_3": (40, 4),
        "pool3": (44, 8), "conv4_3": (92, 8), "pool4": (100, 16), "conv5_3": (196, 16), "pool5": (212, 32),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_published(name: str) -> None:
    network = build(name)
    with_maps = {step.layer.name for step in network.steps() if len(step.output_shape) == 3}
    for layer, expected in PUBLISHED[name].items():
        found = len(receptive_field(network, layer)), stride(network, layer) if layer in with_maps else None
        assert (layer, found) == (layer, expected)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_unit_sees_the_pixels_that_change_it(name: str) -> None:
    """Light one row of pixels after another, with positive weights: the units that see the row are above 0."""
    network = build(name)
    if name != "alexnet-mnist":  # for speed
        network = build(name, {"input_size": network.input_shape[0] - 96})
    network = narrow(network)
    weights = {key: np.ones(shape, np.float32) for key, shape in network.weight_shapes().items()}
    weights |= {key: np.zeros_like(value) for key, value in weights.items() if key.endswith(("bias", "beta", "_mean"))}
    size = network.input_shape[0]
    seen: dict[str, np.ndarray] = {}
    for row in range(size):
        pixels = np.zeros((1, *network.input_shape), np.float32)
        pixels[:, row] = 1e-3
        for layer, output in activations(network.layers, weights, pixels):
            units = output.reshape(len(output), -1) if output.ndim == 2 else output.max(axis=(2, 3))
            seen.setdefault(layer, np.zeros((units.shape[1], size), bool))[:, row] = units[0] > 0
    for layer, rows in seen.items():
        for unit, found in enumerate(rows):
            field = receptive_field(network, layer, unit)
            np.testing.assert_array_equal(np.flatnonzero(found), [row for row in field if 0 <= row < size], layer)


def narrow(network: Network) -> Network:
    """Return the network with one channel in every layer, which changes no field."""
    return replace(network, layers=tuple(_narrow(network.layers)))


def _narrow(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    for layer in layers:
        if isinstance(layer, Conv):
            yield replace(layer, filters=1, groups=1)
        elif isinstance(layer, Dense):
            yield replace(layer, units=1)
        else:
            yield replace(layer, epsilon=1.0) if isinstance(layer, BatchNorm) else layer


def test_windows_of_an_average_that_overlap() -> None:
    """Of 8 positions 32 pixels apart, each of the 6 windows takes 2, from 0, 1, 2, 4, 5 and 6 on."""
    network = build("alexnet-owt", {"input_size": 290})
    assert [step.input_shape[0] for step in network.steps() if isinstance(step.layer, AdaptiveAveragePool)] == [8]
    pool = receptive_field(network, "pool5")
    assert [receptive_field(network, "avgpool", unit) for unit in range(6)] == [
        range(pool.start + 32 * first, pool.stop + 32 * (first + 1)) for first in (0, 1, 2, 4, 5, 6)
    ]
