"""Resize an image: area averages or linear interpolation to shrink, linear interpolation to enlarge."""

import cv2

from finetune.choices import Interpolation
from finetune.data.channels import Image
from finetune.data.preprocessing import Preprocessing


def resize(image: Image, width: int, height: int, interpolation: Interpolation = "area") -> Image:
    """Resize to width × height pixels: area averages to shrink (no aliasing), linear interpolation to enlarge.

    With "linear", both are linear interpolation between the four nearest pixels, as `cv2.resize` by default.
    """
    shrinks = interpolation == "area" and width * height < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def resize_for_crop(image: Image, preprocessing: Preprocessing) -> Image:
    """Resize so that the short side has `resize_to` pixels, ready for a square crop; the aspect ratio stays."""
    image = _without_far_ends(image)
    height, width = image.shape[:2]
    scale = preprocessing.resize_to / min(height, width)
    return resize(image, round(width * scale), round(height * scale), preprocessing.interpolation)


def _without_far_ends(image: Image) -> Image:
    """Return the middle of a very long image: without this, 1 × 3000 pixels would grow to 256 × 768,000."""
    height, width = image.shape[:2]
    longest = 4 * min(height, width)  # the crop needs one short side; an ordinary image is not cut
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[top : height - top, left : width - left]
