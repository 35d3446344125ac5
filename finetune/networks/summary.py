"""What a network costs, layer by layer: parameters, multiply-adds and activation memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from finetune.networks.layers import Shape
from finetune.networks.network import Network, Step

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class LayerSummary:
    """One layer's cost for one image.

    `weights` are the counts by name (`kernel`, `bias`, …) and `parameters` their sum, batch norm's statistics
    included. `activation_bytes` is the size of the output in float32.
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
    """A network's cost for one image: the totals and every layer in forward order.

    `trainable_parameters` leaves out what gradients never change. `activation_bytes` is what the outputs of all
    layers take together when all are kept, as training the whole network does; the input is not counted.
    """

    network: str
    options: Mapping[str, int]
    input_shape: Shape
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    activation_bytes: int
    layers: tuple[LayerSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON knows them; `layers` is a list with one object a layer."""
        return asdict(self)


def summarize(network: Network) -> Summary:
    """Return what `network` costs; nothing is computed or allocated, so that it is instant."""
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
