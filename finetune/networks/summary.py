"""The cost of a network, layer by layer: parameters, multiply-adds and activation memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from finetune.networks.layers import Shape
from finetune.networks.network import Network, Step

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class LayerSummary:
    """The cost of one layer for one image.

    `weights` are the counts by name (`kernel`, `bias`, …) and `parameters` is their sum, including batch norm's
    statistics. `activation_bytes` is the size of the output in float32.
    """

    name: str
    kind: str
    output_shape: Shape
    weights: Mapping[str, int]
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """The cost of a network for one image: totals, and every layer in forward order.

    `trainable_parameters` excludes batch norm's statistics. `activation_bytes` is the size of the outputs of all layers
    together, all of which are kept when the whole network is trained; the input does not count.
    """

    network: str
    options: Mapping[str, int | str]
    input_shape: Shape
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    activation_bytes: int
    layers: tuple[LayerSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields for JSON; `layers` is a list with one object per layer."""
        return asdict(self)


def summarize(network: Network) -> Summary:
    """Return the cost of `network`, from its shapes alone."""
    layers = tuple(_summarize_layer(step) for step in network.steps())
    return Summary(
        network=network.name,
        options=dict(network.options),
        input_shape=network.input_shape,
        parameters=network.parameters(),
        trainable_parameters=network.trainable_parameters(),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        layers=layers,
    )


def _summarize_layer(step: Step) -> LayerSummary:
    layer, input_shape, output_shape = step
    weights = {name: prod(shape) for name, shape in layer.weight_shapes(input_shape).items()}
    return LayerSummary(
        name=layer.name,
        kind=type(layer).__name__,
        output_shape=output_shape,
        weights=weights,
        parameters=sum(weights.values()),
        multiply_adds=layer.multiply_adds(input_shape),
        activation_bytes=BYTES_PER_VALUE * prod(output_shape),
    )
