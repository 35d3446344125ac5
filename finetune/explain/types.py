"""What an explanation consists of: the maps of one class, and the activations of one channel."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.prediction import Score


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
