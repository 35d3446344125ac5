"""From the upright pixels of an image to the square that a network takes."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.data.preprocessing import ChannelOrder, Preprocessing

Image = NDArray[np.uint8]
Number = TypeVar("Number", bound=np.generic)


def to_input(image: Image, preprocessing: Preprocessing) -> Image:
    """Return the network's input, uint8 (size, size, channels), from a BGR image; the mean is still in.

    It is the centre of the image, or all of it where the preprocessing warps; channels in the preprocessing's order.
    """
    side = preprocessing.size
    if preprocessing.resize == "warp":
        return in_channel_order(resize(image, side, side), preprocessing.channel_order)
    resized = resize_for_crop(image, preprocessing)
    top, left = ((length - side) // 2 for length in resized.shape[:2])
    return in_channel_order(resized[top : top + side, left : left + side], preprocessing.channel_order)


def resize_for_crop(image: Image, preprocessing: Preprocessing) -> Image:
    """Return the image with its short side brought to `resize_to`: what a square is cropped from."""
    image = _without_ends(image)
    height, width = image.shape[:2]
    scale = preprocessing.resize_to / min(height, width)
    smallest = preprocessing.size
    return resize(image, max(smallest, round(width * scale)), max(smallest, round(height * scale)))


def _without_ends(image: Image) -> Image:
    """Return the middle of a very long picture: 1 × 3000 pixels would else grow to 256 × 768,000 before the crop."""
    height, width = image.shape[:2]
    longest = 4 * min(height, width)  # the crop needs once the short side; an ordinary picture stays as it is
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : height - top, left : width - left]


def resize(image: Image, width: int, height: int) -> Image:
    """Resize to width × height: area averages to shrink (no aliasing), linear to enlarge."""
    shrinks = width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def in_channel_order(bgr: Image, order: ChannelOrder) -> Image:
    """Return a BGR image with the channels in `order`, contiguous; gray has one channel."""
    match order:
        case "RGB":
            return np.ascontiguousarray(bgr[..., ::-1])
        case "GRAY":
            return cv2.cvtColor(np.ascontiguousarray(bgr), cv2.COLOR_BGR2GRAY)[..., None]  # type: ignore[return-value]
        case _:
            return np.ascontiguousarray(bgr)


def to_rgb(pixels: NDArray[Number], order: ChannelOrder) -> NDArray[Number]:
    """Return three channels in RGB order, the last axis, from channels in `order`: how network input is drawn."""
    match order:
        case "BGR":
            return pixels[..., ::-1]
        case "GRAY":
            return np.repeat(pixels, 3, axis=-1)
        case "RGB":
            return pixels
