"""From a photo to the square that a network takes, written in the usual way, for the programs to compare with."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def read_square(path: str, preprocessing: dict[str, Any]) -> NDArray[np.float32]:
    """Return (3, size, size): resized to `resize_to` on the short side, cropped to the centre, without the mean."""
    assert preprocessing["channel_order"] == "BGR"
    size, image = preprocessing["size"], cv2.imread(path)
    scale = preprocessing["resize_to"] / min(image.shape[:2])
    height, width = (max(size, round(side * scale)) for side in image.shape[:2])
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (height - size) // 2, (width - size) // 2
    square = image[top : top + size, left : left + size].astype(np.float32) - np.array(
        preprocessing["mean"], np.float32
    )
    return square.transpose(2, 0, 1).copy()
