"""The colours along which the training images differ most, for the lighting noise of augmentation."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from finetune.data.augment import Lighting
from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError, ImageError
from finetune.system.parallel import parallel_map
from finetune.system.progress import track

MOST_IMAGES = 500  # more would only take time: 500 images of 227 × 227 are 26 million pixels


def principal_components(paths: Sequence[Path], preprocessing: Preprocessing) -> Lighting:
    """Return the principal components of the images' pixels as the network sees them, but always in colour.

    At most 500 images count, chosen evenly in the order given; unreadable ones are skipped. The same images give the
    same bits, since all sums are of whole numbers. Raises DataError if no image can be read.
    """
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(len(paths), MOST_IMAGES)).astype(int)]
    in_colour = replace(preprocessing, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channel_order="RGB")
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    inputs = parallel_map(partial(read_input, preprocessing=in_colour), chosen)
    for image in track(inputs, len(chosen), "colours", "images"):
        if isinstance(image, ImageError):
            continue
        pixels = image.reshape(-1, 3).astype(np.float64)  # holds whole numbers up to 2^53 exactly
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    if not count:
        raise DataError(f"lighting needs images to take its colours from, but none of {len(paths)} can be read")
    mean = total / count
    variances, columns = np.linalg.eigh(products / count - np.outer(mean, mean))
    vectors = columns.T[::-1]  # strongest first
    vectors = (
        vectors * np.sign(vectors[np.arange(3), np.abs(vectors).argmax(axis=1)])[:, None]
    )  # of the two signs, the one that makes the largest value positive
    return Lighting.of(np.sqrt(np.maximum(variances[::-1], 0)), vectors)
