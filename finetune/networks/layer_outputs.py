"""The outputs that a network has: of its layers, and of those with a ReLU also the value before it, NAME:linear."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from finetune.errors import UsageError
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import Conv, Dense, Layer, Relu, Shape
from finetune.networks.network import Network
from finetune.system.text import did_you_mean

LINEAR = ":linear"


def output_shapes(network: Network, names: Sequence[str]) -> dict[str, Shape]:
    """Return the shape of each named output for one image; raise UsageError for a name that the network does not have.

    (height, width, channels), or (units,) after a fully connected layer.
    """
    shapes = {step.layer.name: step.output_shape for step in network.steps()}
    linear = {f"{name}{LINEAR}": shapes[name] for name in _with_relu(network)}
    known = shapes | linear
    if not names:
        raise UsageError(f"expected the names of one or more layers, got none; give some of {', '.join(known)}")
    for name in names:
        if name not in known:
            raise UsageError(
                f"{network.name} has no layer {name!r}{did_you_mean(name, known)}; its layers are {', '.join(shapes)}, "
                f"and before their ReLU {', '.join(linear)}"
            )
    return {name: known[name] for name in names}


def output_names(network: Network) -> list[str]:
    """Return every name that `output_shapes` knows, in forward order, those before a ReLU last."""
    return [step.layer.name for step in network.steps()] + [f"{name}{LINEAR}" for name in _with_relu(network)]


def split_relus(
    network: Network, weights: Mapping[str, NDArray[np.float32]], names: Collection[str]
) -> tuple[Network, Mapping[str, NDArray[np.float32]]]:
    """Return the same network and weights, with each layer X whose X:linear is among `names` as X:linear and a ReLU, X.

    X:linear has the weights of X.
    """
    split = {name: f"{name}{LINEAR}" for name in _with_relu(network) if f"{name}{LINEAR}" in names}
    if not split:
        return network, weights
    layers: list[Layer] = []
    for layer in network.layers:
        if layer.name in split and isinstance(layer, Conv | Dense):
            layers += [replace(layer, name=split[layer.name], relu=False), Relu(layer.name)]
        else:
            layers.append(layer)
    renamed = {name: value for name, value in weights.items() if layer_of(name) not in split}
    for name in weights.keys() - renamed.keys():
        renamed[name.replace(layer_of(name), split[layer_of(name)])] = weights[name]
    return replace(network, layers=tuple(layers)), renamed


def up_to(
    network: Network, weights: Mapping[str, NDArray[np.float32]], names: Collection[str]
) -> tuple[Network, Mapping[str, NDArray[np.float32]]]:
    """Return the network up to the last of the layers, and its weights, as `split_relus`."""
    network, weights = split_relus(network, weights, names)
    order = [layer.name for layer in network.layers]
    last = max(order.index(name) for name in names)
    return replace(network, layers=network.layers[: last + 1]), weights


def _with_relu(network: Network) -> list[str]:
    """Return the names of the layers that end with a ReLU, in forward order."""
    return [layer.name for layer in network.layers if isinstance(layer, Conv | Dense) and layer.relu]
