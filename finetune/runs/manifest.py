"""The pictures of a run's manifest: where they are now, and which other pictures are the same."""

import hashlib
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
from finetune.system.parallel import parallel_map


class Seen(NamedTuple):
    """How many pictures a run has met: as those it trained on, and as those its best epoch was chosen by."""

    trained_on: int
    validated_on: int


def place(run: Run, records: Iterable[Record]) -> list[Record]:
    """Return the records with the paths at which their pictures are now.

    The manifest has the paths as they were given to train. A relative one is meant from the folder where that was
    called, which is known when the run still stands there under the name of its --out; else it is left as it is.
    """
    records = list(records)
    folder = _called_from(run)
    if folder is None or not any(image_exists(folder / record.path) for record in records):
        return records
    return [record._replace(path=folder / record.path) for record in records]


def seen(run: Run, pictures: Iterable[Path]) -> Seen | None:
    """Return how many of the pictures have the bytes of one in the run's manifest, on each side.

    None where that cannot be told: the run has no manifest, or no picture of it can be read any more.
    """
    try:
        records = place(run, read_dataset(run).records)
    except RunError:
        return None
    pictures = list(pictures)
    sizes = set(map(_size, pictures))  # files of another size need not be read
    alike = [record for record in records if _size(record.path) in sizes]
    digests: dict[Split, set[str | None]] = {"train": set(), "val": set()}
    for record, digest in zip(alike, parallel_map(_digest, (record.path for record in alike)), strict=True):
        digests[record.split].add(digest)
    if not any(image_exists(record.path) for record in records):
        return None
    found = [digest for digest in parallel_map(_digest, pictures) if digest]
    return Seen(*(sum(digest in digests[side] for digest in found) for side in ("train", "val")))


def _called_from(run: Run) -> Path | None:
    """Return the folder where train was called, the run's own less its --out, unless that is here or not known."""
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
    """Return a file's size in bytes, None for a picture within a file of many."""
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except ImageError:
        return None
