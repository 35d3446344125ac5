"""Which images are trained on and which validate, and why: every rule, for every form of data.

- Folders: `train/` is trained on, and `val/`, `valid/` or `validation/` next to it validates; without those, `test/`
  does (`split_folders`).
- A CSV with a `split` column says it line by line; there `test` always means validation (`SPLITS_IN_LISTS`).
- MNIST: the `train-…` files are trained on, and the `t10k-…` files validate (`MNIST_TRAIN`, `MNIST_VALIDATION`).
- Where the data has no splits of its own, the bytes of each image decide (`split_by_digest`).
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from finetune.errors import DataError

logger = logging.getLogger(__name__)

Split = Literal["train", "val"]

VALIDATION_NAMES = ("val", "valid", "validation")  # common names of the split that is not trained on, in any case
TEST_NAME = "test"  # validates too, where nothing has one of those names
SPLIT_PREFIXES = ("train", "val", "test")  # what other names of splits begin with: training, test_set, …

# What the split column of a CSV says -> the split; an empty cell leaves it to `split_by_digest`.
SPLITS_IN_LISTS: dict[str, Split | None] = {
    "": None,
    "train": "train",
    **dict.fromkeys((*VALIDATION_NAMES, TEST_NAME), "val"),
}

MNIST_TRAIN, MNIST_VALIDATION = "train", "t10k"  # what the names of MNIST's files begin with


class SplitFolders(NamedTuple):
    """The folder of classes to train on and, if the data has one, the folder of classes that validates."""

    train: Path
    val: Path | None


def split_folders(data: Path, folders: Sequence[Path]) -> SplitFolders:
    """Return which of the `folders` in `data` are its splits, by their names in any case.

    If `data` does not have both splits, no folder validates; the classes are then in `train/` if that is the only
    folder, else in `data` itself. Logs which folders are not used. Raises DataError for two folders of one split.
    """
    train, val, test = (
        [folder for folder in folders if folder.name.lower() in names]
        for names in (("train",), VALIDATION_NAMES, (TEST_NAME,))
    )
    val = val or test
    if not (train and val):
        return SplitFolders(train[0] if train and len(folders) == 1 else data, None)
    for same in (train, val):
        if len(same) > 1:
            raise DataError(
                f"{same[0]} and {same[1]} name the same split; expected one of them; move the other elsewhere"
            )
    found = SplitFolders(train[0], val[0])
    if unused := [str(folder) for folder in folders if folder not in found]:
        logger.info("validating on %s; not used (pass one to evaluate --data): %s", found.val, ", ".join(unused))
    return found


def split_by_digest(labelled: list[tuple[int, str]], val_fraction: float) -> dict[str, Split]:
    """Return digest -> split: within each class, the first `val_fraction` of the images by digest validate.

    `labelled`: label and SHA-256 of every image. The split depends on the bytes alone: it hardly changes when images
    are added, every class keeps its share, and identical files, even in two classes, are always in the same split.
    A class keeps at least one image to train on and, if it has two different ones, at least one to validate, unless
    all of its images are in an earlier class too.
    """
    by_label: dict[int, set[str]] = {}
    for label, digest in labelled:
        by_label.setdefault(label, set()).add(digest)
    splits: dict[str, Split] = {}
    for _, digests in sorted(by_label.items()):
        share = min(max(round(len(digests) * val_fraction), 1), len(digests) - 1)
        share -= sum(splits.get(digest) == "val" for digest in digests)  # already assigned with an earlier class
        for rank, digest in enumerate(sorted(digest for digest in digests if digest not in splits)):
            splits[digest] = "val" if rank < share else "train"
    return splits
