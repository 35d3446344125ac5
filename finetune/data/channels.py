"""An image as an array, and the order of its colour channels."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.preprocessing import ChannelOrder

Image = NDArray[np.uint8]  # (height, width, channels), in BGR order unless a docstring says otherwise
Number = TypeVar("Number", bound=np.generic)


def in_channel_order(bgr: Image, order: ChannelOrder) -> Image:
    """Return a BGR image with its channels in `order`, contiguous; gray (ITU-R BT.601) has one channel."""
    match order:
        case "RGB":
            return np.ascontiguousarray(bgr[..., ::-1])
        case "GRAY":
            return cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2GRAY)[..., None]  # type: ignore[return-value]
        case _:
            return np.ascontiguousarray(bgr)


def to_rgb(pixels: NDArray[Number], order: ChannelOrder) -> NDArray[Number]:
    """Return network input, its channels on the last axis in `order`, as RGB for display; gray is repeated."""
    match order:
        case "BGR":
            return pixels[..., ::-1]
        case "GRAY":
            return np.repeat(pixels, 3, axis=-1)
        case "RGB":
            return pixels


def for_other_programs(pixels: NDArray[Number], order: ChannelOrder) -> NDArray[Number]:
    """Return network input with its channels in the order that other programs take: RGB, or gray as one channel."""
    return pixels if order == "GRAY" else np.ascontiguousarray(to_rgb(pixels, order))
