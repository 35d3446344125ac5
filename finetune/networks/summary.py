"""A network, layer by layer: shapes, what a unit sees, parameters, multiply-adds and activation memory."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from finetune.networks.layers import Conv, Dense, Shape
from finetune.networks.network import Network, Step
from finetune.networks.receptive_field import receptive_field, stride

BYTES_PER_VALUE = 4  # float32


@dataclass(frozen=True)
class LayerSummary:
    """What one layer computes of one image, and its cost.

    `receptive_field` is the side, in pixels of the input, of the square that a unit sees, padding included; `stride` is
    the distance of two neighbouring units there, None in a layer without height and width. `neurons` are the outputs
    of a convolution or fully connected layer, as in Krizhevsky et al. 2012; those of other layers do not count.
    `weights` are the counts by name (`kernel`, `bias`, …) and `parameters` is their sum, including batch norm's
    statistics. `activation_bytes` is the size of the output in float32.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    receptive_field: int
    stride: int | None
    neurons: int
    weights: Mapping[str, int]
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Summary:
    """The cost of a network for one image: totals, and every layer in forward order.

    `non_trainable_parameters` are batch norm's statistics, which gradients never change. `activation_bytes` is the size
    of the outputs of all layers together, which are all kept when the whole network is trained; the input does not
    count.
    """

    network: str
    options: Mapping[str, int | str]
    input_shape: Shape
    parameters: int
    trainable_parameters: int
    non_trainable_parameters: int
    neurons: int
    multiply_adds: int
    activation_bytes: int
    layers: tuple[LayerSummary, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields for JSON; `layers` is a list with one object per layer."""
        return asdict(self)


def summarize(network: Network) -> Summary:
    """Return the cost of `network`, from its shapes alone."""
    layers = tuple(_summarize_layer(network, step) for step in network.steps())
    return Summary(
        network=network.name,
        options=dict(network.options),
        input_shape=network.input_shape,
        parameters=network.parameters(),
        trainable_parameters=network.trainable_parameters(),
        non_trainable_parameters=network.parameters() - network.trainable_parameters(),
        neurons=sum(layer.neurons for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        layers=layers,
    )


def _summarize_layer(network: Network, step: Step) -> LayerSummary:
    layer, input_shape, output_shape = step
    weights = {name: prod(shape) for name, shape in layer.weight_shapes(input_shape).items()}
    return LayerSummary(
        name=layer.name,
        kind=type(layer).__name__,
        input_shape=input_shape,
        output_shape=output_shape,
        receptive_field=len(receptive_field(network, layer.name)),
        stride=stride(network, layer.name) if len(output_shape) == 3 else None,
        neurons=prod(output_shape) if isinstance(layer, Conv | Dense) else 0,
        weights=weights,
        parameters=sum(weights.values()),
        multiply_adds=layer.multiply_adds(input_shape),
        activation_bytes=BYTES_PER_VALUE * prod(output_shape),
    )
