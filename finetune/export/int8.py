"""What 8 bits need and what they cost: pictures to take the ranges from, and others to measure the loss on."""

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

CALIBRATION = 100  # pictures; more move the ranges hardly
BATCH_SIZE = 32

Answers = Callable[[NDArray[np.uint8]], NDArray[np.floating]]  # pixels as the network takes them -> probabilities


class Pictures(NamedTuple):
    """What the ranges are taken from, and what the loss is measured on, with the labels where they are known."""

    calibration: list[Path]
    measured: list[Path]
    labels: list[int] | None


@dataclass(frozen=True)
class Loss:
    """How int8 compares with float32 on `images` pictures.

    `agreement`: share with the same first class. `difference`: the largest between two probabilities. `accuracy_float`,
    `accuracy_int8`: share that is right, None where the labels are not known.
    """

    images: int
    agreement: float
    difference: float
    accuracy_float: float | None = None
    accuracy_int8: float | None = None


def choose_pictures(run: Run | None, data: Path | None) -> Pictures:
    """Return the run's training and validation pictures; or of the pictures below `data` every second one for each.

    Raises UsageError when there is neither, DataError when there are too few.
    """
    if data is not None:
        if not data.is_dir():
            raise DataError(f"--data {data} is no folder; expected one with pictures in it")
        paths = list(image_files(data))
        if len(paths) < 2:
            raise DataError(f"--data {data} has {len(paths)} pictures; 8 bits need two at least, better some hundred")
        return Pictures(_spread(paths[::2]), paths[1::2], None)
    if run is None:
        raise UsageError("litert-int8 takes the ranges of its numbers from pictures: name a folder of them with --data")
    records = read_dataset(run).records
    val = [record for record in records if record.split == "val"]
    train = [record.path for record in records if record.split == "train"]
    return Pictures(_spread(train), [record.path for record in val], [record.label for record in val])


def calibration_pixels(paths: Sequence[Path], preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Return the pixels of all pictures that can be read; raise DataError when there are none."""
    images = [image for _, image in _readable(paths, preprocessing)]
    if not images:
        raise DataError(
            f"none of the {len(paths)} pictures to take the ranges from can be read, {paths[0]} for one; "
            "name a folder of pictures with --data"
        )
    return np.stack(images)


def measure(pictures: Pictures, preprocessing: Preprocessing, exact: Answers, int8: Answers) -> Loss:
    """Return what is lost on the pictures that can be read; raise DataError when there are none."""
    labels = pictures.labels
    exact_rows, int8_rows, numbers = [], [], []
    readable = _readable(pictures.measured, preprocessing)
    while batch := list(islice(readable, BATCH_SIZE)):
        pixels = np.stack([image for _, image in batch])
        exact_rows.append(exact(pixels))
        int8_rows.append(int8(pixels))
        numbers += [number for number, _ in batch]
    if not numbers:
        raise DataError("none of the pictures to measure 8 bits on can be read; name a folder of pictures with --data")
    one, other = np.concatenate(exact_rows), np.concatenate(int8_rows)
    first, second = one.argmax(axis=1), other.argmax(axis=1)
    true = None if labels is None else np.array([labels[number] for number in numbers])
    return Loss(
        images=len(numbers),
        agreement=float((first == second).mean()),
        difference=float(abs(one - other).max()),
        accuracy_float=None if true is None else float((first == true).mean()),
        accuracy_int8=None if true is None else float((second == true).mean()),
    )


def _spread(paths: list[Path]) -> list[Path]:
    """Return at most CALIBRATION of the paths, evenly from beginning to end, so that every class is among them."""
    if len(paths) <= CALIBRATION:
        return paths
    return [paths[i * len(paths) // CALIBRATION] for i in range(CALIBRATION)]


def _readable(paths: Sequence[Path], preprocessing: Preprocessing) -> Iterator[tuple[int, Image]]:
    """Yield number and network input of the pictures that can be read; the others are named in the log."""

    def read(number: int) -> tuple[int, Image | ImageError]:
        return number, read_input(paths[number], preprocessing)

    for number, image in parallel_map(read, range(len(paths))):
        if isinstance(image, ImageError):
            logger.warning("not read: %s: %s", paths[number], image)
        else:
            yield number, image
