"""Which pixels a unit of a layer sees.

From the unit back to the input, layer by layer, as in Araujo, Norris and Sim 2019, "Computing Receptive Fields of
Convolutional Neural Networks".
"""

from finetune.networks.network import Network


def receptive_field(network: Network, layer: str, unit: int = 0) -> range:
    """Return the pixels, along a side of the input, that unit number `unit` along a side of the layer's output sees.

    Those in the padding count, so that the field may begin below 0 or reach beyond the input: fc6 of AlexNet sees 355
    pixels of 227. A unit of a fully connected layer has number 0.
    """
    steps = list(network.steps())
    last_step = [step.layer.name for step in steps].index(layer)
    first = last = unit
    for step in reversed(steps[: last_step + 1]):
        first, last = step.layer.inputs_of(first, last, step.input_shape)
    return range(first, last + 1)


def stride(network: Network, layer: str) -> int:
    """Return how many pixels of the input lie between two neighbouring units of a layer with height and width."""
    return receptive_field(network, layer, 1).start - receptive_field(network, layer, 0).start


def seen_pixels(network: Network, layer: str, unit: int = 0) -> range:
    """Return the part of a unit's receptive field that is within the input."""
    field = receptive_field(network, layer, unit)
    return range(max(field.start, 0), min(field.stop, network.preprocessing.size))
