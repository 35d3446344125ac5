"""A Grad-CAM map as a PNG that fits over the image it is of."""

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.preprocessing import Preprocessing

LONGEST_SIDE = 2048  # pixels of the PNG; only an image more than eight times as long as wide is scaled to it


def overlay(values: NDArray[np.float32], shape: tuple[int, int], preprocessing: Preprocessing) -> bytes:
    """Return a PNG with the aspect ratio of the image of this shape (height, width): the map where the network looks.

    `values`: (size, size) from 0 to 1, as `grad_cam` returns them; drawn in matplotlib's colours "inferno". What is
    outside of the network's crop is transparent.
    """
    side = min(shape) * preprocessing.size / preprocessing.resize_to
    seen = (side, side) if preprocessing.resize == "crop" else shape  # the part of the image that is the input
    scale = min(preprocessing.size / min(seen), LONGEST_SIDE / max(shape))
    canvas_height, canvas_width = (max(1, round(scale * length)) for length in shape)
    map_height = max(1, min(round(scale * seen[0]), canvas_height))
    map_width = max(1, min(round(scale * seen[1]), canvas_width))
    colors = cv2.applyColorMap(np.rint(255 * values).astype(np.uint8), cv2.COLORMAP_INFERNO)
    top, left = (canvas_height - map_height) // 2, (canvas_width - map_width) // 2
    canvas = np.zeros((canvas_height, canvas_width, 4), np.uint8)
    part = canvas[top : top + map_height, left : left + map_width]
    part[..., :3] = cv2.resize(colors, (map_width, map_height), interpolation=cv2.INTER_LINEAR)
    part[..., 3] = 255
    return cv2.imencode(".png", canvas)[1].tobytes()
