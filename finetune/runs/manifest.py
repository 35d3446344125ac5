"""The images of a run's manifest: where they are now, and which other images are the same."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from finetune.data.dataset import Record
from finetune.data.idx import image_exists
from finetune.data.images import read_bytes
from finetune.data.split import Split
from finetune.errors import ImageError, RunError
from finetune.runs.read_run import read_dataset
from finetune.runs.run import RUNS, Run
from finetune.system.digest import sha256
from finetune.system.parallel import parallel_map


class Overlap(NamedTuple):
    """How many images a run has already used: to train on, and to validate with."""

    trained_on: int
    validated_on: int


def locate_images(run: Run, records: Iterable[Record]) -> list[Record]:
    """Return the records with the paths at which their images are now.

    The manifest has the paths as they were given to train. A relative one starts in the folder where train was called,
    which is known as long as the run is where its --out put it; otherwise the paths stay as they are.
    """
    records = list(records)
    folder = _called_from(run)
    if folder is None or not any(image_exists(folder / record.path) for record in records):
        return records
    return [record._replace(path=folder / record.path) for record in records]


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
    digests: dict[Split, set[str | None]] = {"train": set(), "val": set()}
    for record, digest in zip(candidates, parallel_map(_digest, (record.path for record in candidates)), strict=True):
        digests[record.split].add(digest)
    if not any(image_exists(record.path) for record in records):
        return None
    found = [digest for digest in parallel_map(_digest, images) if digest]
    return Overlap(*(sum(digest in digests[split] for digest in found) for split in ("train", "val")))


def _called_from(run: Run) -> Path | None:
    """Return the folder where train was called, which is the run's without its --out.

    None when it is the current folder or not known.
    """
    folder = run.path.absolute()
    try:
        out = Path(str(run.config().get("out") or RUNS / folder.name))
    except RunError:
        return None
    if out.is_absolute() or not out.parts or folder.parts[-len(out.parts) :] != out.parts:
        return None
    called_from = folder.parents[len(out.parts) - 1]
    return None if called_from == Path.cwd() else called_from


def _size(path: Path) -> int | None:
    """Return the size of a file in bytes, None for an image in a file of many."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str | None:
    try:
        return sha256(read_bytes(path))
    except ImageError:
        return None
