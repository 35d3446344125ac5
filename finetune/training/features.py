"""The frozen part of the network, computed once for every image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.decode import Image, read_input
from finetune.data.folder import Record
from finetune.data.parallel import parallel_map
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError
from finetune.networks.forward import Weights, compile_forward
from finetune.networks.layers import Layer
from finetune.progress import track

BATCH_SIZE = 32  # larger is no faster on CPUs and takes memory


@dataclass(frozen=True)
class Features:
    """What the trunk makes of the readable images, row by row, and which images turned out unreadable.

    `rows` is float32 (images, …); with an empty trunk it is the network's input, uint8 with the mean still in.
    """

    records: tuple[Record, ...]
    rows: NDArray[Any]
    unreadable: dict[Path, str]


def compute_features(
    trunk: tuple[Layer, ...], weights: Weights, preprocessing: Preprocessing, records: Sequence[Record]
) -> Features:
    """Decode every image once, on all cores, and run the trunk over batches of them meanwhile."""
    compute = compile_forward(trunk, weights, preprocessing) if trunk else None
    read = partial(read_input, preprocessing=preprocessing)
    loaded = track(parallel_map(read, (record.path for record in records)), len(records), "features", "images")
    unreadable: dict[Path, str] = {}
    readable: list[Record] = []

    def images() -> Iterator[Image]:
        for record, image in zip(records, loaded, strict=True):
            if isinstance(image, ImageError):
                unreadable[record.path] = str(image)
            else:
                readable.append(record)
                yield image

    rows: NDArray[Any] | None = None
    done = 0
    for batch in batches(images(), BATCH_SIZE):
        out = compute(batch) if compute else batch
        if rows is None:
            rows = np.empty((len(records), *out.shape[1:]), out.dtype)
        rows[done : done + len(out)] = out
        done += len(out)
    return Features(tuple(readable), rows[:done] if rows is not None else np.empty((0,)), unreadable)


def batches(images: Iterator[Image], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield stacks of `size` images; the last may be shorter."""
    batch: list[Image] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
