"""What every reader of a weights file returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def layer_of(weight: str) -> str:
    """Return the layer that owns a weight: `conv1` of `conv1/kernel`."""
    return weight.rpartition("/")[0]


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file, not yet checked against a network.

    `tensors`: `layer/weight` -> array in the file's own floating-point type, in forward order where the file has one.
    Layer names are Caffe's (`conv1`, `fc6`, `conv1_1`). Kernels are (height, width, input channels / groups, filters)
    and (inputs, units); batch norm has `gamma`, `beta`, `moving_mean`, `moving_variance`.
    `channel_first`: the rows of the first fully connected kernel are ordered channel, height, width, as Caffe, ONNX
    and PyTorch flatten; otherwise height, width, channel.
    `network`: the network's name where the file tells it (never guessed from shapes).
    `metadata`: what a file of our own says of itself (options, preprocessing, class_names, …); empty for all others.
    """

    path: Path
    format: str
    tensors: Mapping[str, Array]
    channel_first: bool = False
    network: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def layers(self) -> list[str]:
        """Return the names of the layers in the file, in its order."""
        return list(dict.fromkeys(map(layer_of, self.tensors)))
