"""Images as a tf.data.Dataset, with the pixels that `predict` sees."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from finetune.data.channels import Image, for_other_programs
from finetune.data.images import ImageLike, path_or_url, read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError, UsageError
from finetune.system.parallel import parallel_map


def pixel_dataset(
    images: Sequence[ImageLike], labels: ArrayLike | None, preprocessing: Preprocessing, batch_size: int
) -> tf.data.Dataset:
    """Return a dataset of batches of network input, (n, size, size, channels) uint8, RGB or gray.

    With `labels`, one row for each image, it yields pairs. It reads the images again in every epoch, on all cores, in
    order. Raises UsageError if the labels are not as many as the images; an image that cannot be read ends the epoch
    with TensorFlow's InvalidArgumentError, which names it.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
    rows = None if labels is None else np.asarray(labels)
    if rows is not None and (rows.ndim < 1 or len(rows) != len(images)):
        count = len(rows) if rows.ndim else "a single value"
        raise UsageError(f"expected one label for each of {len(images)} images, got {count}; pass as many")

    def batches() -> Iterator[Any]:
        pixels = parallel_map(lambda image: _read(image, preprocessing), images)
        for start in range(0, len(images), batch_size):
            batch = np.stack(list(islice(pixels, batch_size)))
            yield batch if rows is None else (batch, rows[start : start + batch_size])

    size = preprocessing.size
    signature = tf.TensorSpec((None, size, size, preprocessing.channels), tf.uint8)
    if rows is not None:
        signature = signature, tf.TensorSpec((None, *rows.shape[1:]), rows.dtype)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(-(-len(images) // batch_size)))


def _read(image: ImageLike, preprocessing: Preprocessing) -> Image:
    pixels = read_input(image, preprocessing)
    if isinstance(pixels, ImageError):
        raise ValueError(f"{path_or_url(image) or 'an image'}: {pixels}")  # as which TensorFlow passes it on
    return for_other_programs(pixels, preprocessing.channel_order)
