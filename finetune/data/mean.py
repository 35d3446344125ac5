"""The mean of the training images' pixels, for networks that are trained from scratch."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError, ImageError
from finetune.system.parallel import parallel_map
from finetune.system.progress import track


def mean_of_images(paths: Sequence[Path], preprocessing: Preprocessing) -> str:
    """Return the mean of all pixels that the network sees of the images, as text for `with_changes`.

    That is of blue, green and red, or of gray, from 0 to 255 with three decimals. Unreadable images are skipped. The
    same images give the same text, since all sums are of whole numbers. Raises DataError if no image can be read.
    """
    gray = preprocessing.channel_order == "GRAY"
    in_order = preprocessing if gray else replace(preprocessing, channel_order="BGR")
    total, count = np.zeros(in_order.channels, np.int64), 0
    inputs = parallel_map(partial(read_input, preprocessing=in_order), paths)
    for image in track(inputs, len(paths), "mean", "images"):
        if not isinstance(image, ImageError):
            total += image.sum(axis=(0, 1), dtype=np.int64)
            count += image.shape[0] * image.shape[1]
    if not count:
        raise DataError(f"--mean data needs images to take the mean of, but none of {len(paths)} can be read")
    return ",".join(f"{value:.3f}" for value in total / count)
