"""Which images a run has already used: to train on, or to validate with."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from finetune.choices import SplitName
from finetune.data.digests import digests
from finetune.data.idx import image_exists
from finetune.errors import ImageError, RunError
from finetune.runs.image_locations import locate_images
from finetune.runs.read_run import read_dataset
from finetune.runs.run import Run


class Overlap(NamedTuple):
    """How many images a run has already used: to train on, and to validate with."""

    trained_on: int
    validated_on: int


def count_overlap(run: Run, images: Iterable[Path]) -> Overlap | None:
    """Return how many of the images have the same bytes as one in the run's manifest, for each split.

    None where that is not known: the run has no manifest, or none of its images can be read any more.
    """
    try:
        records = locate_images(run, read_dataset(run).records)
    except RunError:
        return None
    images = list(images)
    sizes = set(map(_size, images))  # files of another size need not be read
    candidates = [record for record in records if _size(record.path) in sizes]
    used: dict[SplitName, set[str | ImageError]] = {"train": set(), "val": set()}
    for record, digest in zip(candidates, digests(record.path for record in candidates), strict=True):
        used[record.split].add(digest)
    if not any(image_exists(record.path) for record in records):
        return None
    found = list(digests(images))
    return Overlap(*(sum(digest in used[split] for digest in found) for split in ("train", "val")))


def _size(path: Path) -> int | None:
    """Return the size of a file in bytes, None for an image in a file of many."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None
