"""What 8 bits need and cost: images that calibrate the ranges, and other images to measure the loss on."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.data.folder import image_files
from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import DataError, ImageError, UsageError
from finetune.runs.read_run import read_dataset
from finetune.runs.run import Run
from finetune.system.parallel import parallel_map

logger = logging.getLogger(__name__)

CALIBRATION = 100  # images; more hardly change the ranges
BATCH_SIZE = 32

PredictPixels = Callable[[NDArray[np.uint8]], NDArray[np.floating]]  # network input -> probabilities, both in batches


class Int8Images(NamedTuple):
    """The images that calibrate the ranges, and those that measure the loss, with their labels if they are known."""

    calibration: list[Path]
    measured: list[Path]
    labels: list[int] | None


@dataclass(frozen=True)
class Int8Loss:
    """How int8 compares with float32 on `images` images.

    `agreement`: fraction with the same predicted class. `difference`: the largest between two probabilities.
    `accuracy_float`, `accuracy_int8`: fraction that is right, None if the labels are not known.
    """

    images: int
    agreement: float
    difference: float
    accuracy_float: float | None = None
    accuracy_int8: float | None = None


def choose_images(run: Run | None, data: Path | None) -> Int8Images:
    """Return the run's training and validation images, or every other image in `data` for each purpose.

    Raises UsageError if there is neither, DataError if there are too few images.
    """
    if data is not None:
        if not data.is_dir():
            raise DataError(f"--data {data} is not a folder; expected a folder of images")
        paths = list(image_files(data))
        if len(paths) < 2:
            raise DataError(f"--data {data} has {len(paths)} images; 8 bits need at least 2, preferably hundreds")
        return Int8Images(_spread(paths[::2]), paths[1::2], None)
    if run is None:
        raise UsageError("litert-int8 needs images to calibrate the ranges of its numbers: name a folder with --data")
    records = read_dataset(run).records
    val = [record for record in records if record.split == "val"]
    train = [record.path for record in records if record.split == "train"]
    return Int8Images(_spread(train), [record.path for record in val], [record.label for record in val])


def calibration_pixels(paths: Sequence[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the pixels of all images that can be read; raise DataError if there are none."""
    inputs = [pixels for _, pixels in _readable(paths, preprocessing)]
    if not inputs:
        raise DataError(
            f"none of the {len(paths)} images for calibration can be read, for example {paths[0]}; "
            "name a folder of images with --data"
        )
    return np.stack(inputs)


def measure(
    images: Int8Images, preprocessing: Preprocessing, predict_float: PredictPixels, predict_int8: PredictPixels
) -> Int8Loss:
    """Return what is lost on the images that can be read; raise DataError if there are none."""
    float_batches, int8_batches, numbers = [], [], []
    readable = _readable(images.measured, preprocessing)
    while batch := list(islice(readable, BATCH_SIZE)):
        pixels = np.stack([pixels for _, pixels in batch])
        float_batches.append(predict_float(pixels))
        int8_batches.append(predict_int8(pixels))
        numbers += [number for number, _ in batch]
    if not numbers:
        raise DataError("none of the images for measuring the loss can be read; name a folder of images with --data")
    exact, rounded = np.concatenate(float_batches), np.concatenate(int8_batches)
    float_classes, int8_classes = exact.argmax(axis=1), rounded.argmax(axis=1)
    labels = None if images.labels is None else np.array([images.labels[number] for number in numbers])
    return Int8Loss(
        images=len(numbers),
        agreement=float((float_classes == int8_classes).mean()),
        difference=float(abs(exact - rounded).max()),
        accuracy_float=None if labels is None else float((float_classes == labels).mean()),
        accuracy_int8=None if labels is None else float((int8_classes == labels).mean()),
    )


def _spread(paths: list[Path]) -> list[Path]:
    """Return at most CALIBRATION of the paths, evenly from first to last, so that every class is among them."""
    if len(paths) <= CALIBRATION:
        return paths
    return [paths[i * len(paths) // CALIBRATION] for i in range(CALIBRATION)]


def _readable(paths: Sequence[Path], preprocessing: Preprocessing) -> Iterator[tuple[int, Image]]:
    """Yield the position and the network input of each image that can be read; log the others."""

    def read(number: int) -> tuple[int, Image | ImageError]:
        return number, read_input(paths[number], preprocessing)

    for number, pixels in parallel_map(read, range(len(paths))):
        if isinstance(pixels, ImageError):
            logger.warning("not read: %s: %s", paths[number], pixels)
        else:
            yield number, pixels
