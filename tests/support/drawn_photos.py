"""Images that look like photos to a perceptual hash: smooth, no two alike."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def photo(number: int, height: int = 150, width: int = 200) -> Pixels:
    """Return (height, width, 3) uint8: clouds of colour, different for every number."""
    small = np.random.default_rng(number).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(pixels: Pixels, extension: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(extension, pixels, list(options))[1].tobytes()


def write_photos(folder: Path, numbers: range) -> None:
    """Write a JPEG per number into a new folder."""
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / f"{number:03}.jpg").write_bytes(encoded(photo(number)))
