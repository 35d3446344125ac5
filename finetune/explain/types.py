"""What an explanation consists of: the maps of one class, the activations of one channel, and what drives it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.prediction import PathOrUrl, Score


@dataclass(frozen=True)
class Explanation:
    """One class with its probability and its two maps, (size, size) float32, from `grad_cam` and `occlusion`."""

    score: Score
    grad_cam: NDArray[np.float32]
    occlusion: NDArray[np.float32]


class Activation(NamedTuple):
    """The output of one channel for an image: the channel's index in its layer and (height, width) float32."""

    channel: int
    map: NDArray[np.float32]


class DrivingImage(NamedTuple):
    """An image that drives a channel: its path or URL, the largest value of the channel, and what that unit sees.

    `crop`: the unit's receptive field in the network's input, (side, side, 3) uint8 RGB, light gray beyond it.
    """

    path: PathOrUrl
    value: float
    crop: Image


class DrivenChannel(NamedTuple):
    """A channel with the images that drive it most, the strongest first."""

    channel: int
    images: tuple[DrivingImage, ...]


class OptimizedImage(NamedTuple):
    """The image that gradient ascent makes for a channel, (side, side, 3) uint8 RGB, and the unit's value for it."""

    channel: int
    image: Image
    value: float
