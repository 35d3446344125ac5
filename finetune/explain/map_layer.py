"""Which layer and which channels to draw; needs no TensorFlow, so that a mistyped name is reported at once."""

from collections.abc import Sequence

from finetune.errors import UsageError
from finetune.networks import Network
from finetune.networks.layers import Conv
from finetune.system.text import did_you_mean

MOST = 100  # channels of a sheet, and images of a channel: a figure with more could not be written


def last_convolution(network: Network) -> str:
    """Return the name of the last convolution, e.g. conv5: the deepest layer that still has height and width."""
    return [layer.name for layer in network.layers if isinstance(layer, Conv)][-1]


def first_convolution(network: Network) -> str:
    """Return the name of the first convolution, e.g. conv1: the one whose kernels can be drawn as images."""
    return next(layer.name for layer in network.layers if isinstance(layer, Conv))


def check_map_layer(network: Network, name: str) -> str:
    """Return `name`; raise UsageError unless it is a layer whose output has height and width."""
    shapes = {step.layer.name: step.output_shape for step in network.steps()}
    with_maps = [layer for layer, shape in shapes.items() if len(shape) == 3]
    if name not in shapes:
        raise UsageError(
            f"--layer: {network.name} has no layer {name!r}{did_you_mean(name, with_maps)}; "
            f"the layers with height and width are {', '.join(with_maps)}"
        )
    if name not in with_maps:
        raise UsageError(
            f"--layer: the output of {name} has no height and width to draw; "
            f"the layers with height and width are {', '.join(with_maps)}"
        )
    return name


def check_channels(layer: str, count: int, channels: Sequence[int]) -> None:
    """Raise UsageError unless `channels` are different numbers of the `count` channels of a layer, MOST at most."""
    if len(channels) > MOST:
        raise UsageError(f"--channel: a sheet has room for {MOST} channels, not {len(channels)}; draw several sheets")
    for number, channel in enumerate(channels):
        if not 0 <= channel < count:
            raise UsageError(f"--channel: the channels of {layer} are 0 to {count - 1}, not {channel}")
        if channel in channels[:number]:
            raise UsageError(f"--channel: {channel} is named twice; name each channel once")
