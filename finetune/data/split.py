"""Which images are trained on and which validate, and why: every rule, for every form of data.

- Folders: `train/` is trained on, and `val/`, `valid/` or `validation/` next to it validates; without those, `test/`
  does (`split_folders`).
- A CSV with a `split` column says it line by line (`SPLITS_IN_LISTS`); lines that say `test` validate only where no
  line says `val`.
- MNIST: the `train-…` files are trained on, and the `t10k-…` files validate (`MNIST_TRAIN`, `MNIST_VALIDATION`).
- Where the data has no splits of its own, the bytes of each image decide (`split_by_digest`); a group of images
  is in one split.
- `evaluate --split` takes a split by its name, whatever training does with it: `test` is a folder or a cell called
  `test`, or the `t10k-…` files, and `val` is a folder or a cell with one of VALIDATION_NAMES (`SPLIT_NAMES`).
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from finetune.choices import SplitName
from finetune.data.groups import Group, joined_groups
from finetune.errors import DataError

logger = logging.getLogger(__name__)

Split = Literal["train", "val"]

VALIDATION_NAMES = ("val", "valid", "validation")  # common names of the split that is not trained on, in any case
TEST_NAME = "test"  # validates too, where nothing has one of those names
SPLIT_PREFIXES = ("train", "val", "test")  # what other names of splits begin with: training, test_set, …

# The name of a folder or a cell, in lower case -> the split that it names.
SPLIT_NAMES: dict[str, SplitName] = {"train": "train", **dict.fromkeys(VALIDATION_NAMES, "val"), TEST_NAME: "test"}

# What the split column of a CSV says -> the split; an empty cell leaves it to `split_by_digest`.
SPLITS_IN_LISTS: dict[str, Split | None] = {
    "": None,
    **{name: "train" if split == "train" else "val" for name, split in SPLIT_NAMES.items()},
}

MNIST_TRAIN, MNIST_VALIDATION = "train", "t10k"  # what the names of MNIST's files begin with
MNIST_SPLITS: dict[SplitName, str] = {"train": MNIST_TRAIN, "test": MNIST_VALIDATION}


class SplitFolders(NamedTuple):
    """The folder of classes to train on and, if the data has one, the folder of classes that validates."""

    train: Path
    val: Path | None


def split_folders(data: Path, folders: Sequence[Path]) -> SplitFolders:
    """Return which of the `folders` in `data` are its splits, by their names in any case.

    If `data` does not have both splits, no folder validates; the classes are then in `train/` if that is the only
    folder, else in `data` itself. Logs which folders are not used. Raises DataError for two folders of one split.
    """
    named = _by_split(folders)
    train, val, test = named["train"], named["val"], named["test"]
    val = val or test
    if not (train and val):
        return SplitFolders(train[0] if train and len(folders) == 1 else data, None)
    found = SplitFolders(_only(train), _only(val))
    if unused := [str(folder) for folder in folders if folder not in found]:
        logger.info("validating on %s; not used (pass one to evaluate --data): %s", found.val, ", ".join(unused))
    return found


def split_folder(data: Path, folders: Sequence[Path], split: SplitName) -> Path:
    """Return which of the `folders` in `data` has the name of a split, in any case.

    Raises DataError if there is none, or two.
    """
    named = _by_split(folders)
    if not named.get(split):
        raise missing_split(data, split, [name for name, found in named.items() if found])
    return _only(named[split])


def missing_split(data: Path, split: str, found: Collection[str]) -> DataError:
    """Return the error for data that does not have a split, but those in `found`."""
    has = " and ".join(name for name in dict.fromkeys(SPLIT_NAMES.values()) if name in found)
    advice = "give one of those to --split" if has else "evaluate all of its images without --split"
    return DataError(
        f"expected a split {split!r} in {data}, but it has {has or 'no splits of its own'}; {advice}, or "
        "give data with that split to --data"
    )


def _by_split(folders: Sequence[Path]) -> dict[SplitName, list[Path]]:
    """Return every split with the folders that have its name."""
    return {
        split: [folder for folder in folders if SPLIT_NAMES.get(folder.name.lower()) == split]
        for split in SPLIT_NAMES.values()
    }


def _only(same: list[Path]) -> Path:
    """Return the folder of a split; raise DataError for two."""
    if len(same) > 1:
        raise DataError(f"{same[0]} and {same[1]} name the same split; expected one of them; move the other elsewhere")
    return same[0]


def split_by_digest(
    labelled: Sequence[tuple[int, str]], val_fraction: float, together: Iterable[Sequence[str]] = ()
) -> dict[str, Split]:
    """Return digest -> split: within each class, the first `val_fraction` of the images by digest validate.

    `labelled`: label and SHA-256 of every image. The split depends on the bytes alone: it hardly changes when images
    are added, every class keeps its share, and identical files, even in two classes, are always in the same split.
    A class keeps at least one image to train on and, if it has two different ones, at least one to validate, unless
    all of its images are in an earlier class too.

    `together`: groups of these digests. Each group, joined with those that it shares an image with, is in one split.
    Groups validate in the order of their smallest digests if the whole group is within the share, then one more if
    that comes nearer to the share. With groups, every class keeps an image to train on; it has one to validate if it
    has two groups, unless that would take the last images to train on from another class.
    """
    by_label: dict[int, set[str]] = {}
    for label, digest in sorted(labelled):
        by_label.setdefault(label, set()).add(digest)
    group_of = joined_groups((digest for _, digest in labelled), together)
    validation = _Validation(by_label, guarded=len(set(group_of.values())) < len(group_of))
    decided: set[str] = set()
    for digests in by_label.values():
        share = min(max(round(len(digests) * val_fraction), 1), len(digests) - 1)
        share -= len(digests & validation.digests)  # already assigned with an earlier class
        open_groups = sorted({group_of[digest] for digest in digests - decided})
        _take_share(validation, digests, open_groups, share)
        decided.update(*open_groups)
    if validation.guarded:
        for digests in by_label.values():
            if not digests & validation.digests:
                groups = sorted({group_of[digest] for digest in digests})
                next(filter(validation.take, sorted(groups, key=lambda group: len(digests.intersection(group)))), None)
    return {digest: "val" if digest in validation.digests else "train" for digest in group_of}


class _Validation:
    """The digests taken for validation; `guarded`: no class may lose its last image to train on."""

    def __init__(self, by_label: Mapping[int, set[str]], guarded: bool) -> None:
        self.guarded = guarded
        self.digests: set[str] = set()
        self._left = {label: len(digests) for label, digests in by_label.items()}
        self._labels: dict[str, list[int]] = {}
        for label, digests in by_label.items():
            for digest in digests:
                self._labels.setdefault(digest, []).append(label)

    def take(self, group: Group) -> bool:
        """Take a group that is not taken yet; return False, without taking it, if it must not be."""
        counts = Counter(label for digest in group for label in self._labels[digest])
        if self.guarded and any(self._left[label] <= count for label, count in counts.items()):
            return False
        for label, count in counts.items():
            self._left[label] -= count
        self.digests.update(group)
        return True


def _take_share(validation: _Validation, digests: set[str], groups: Sequence[Group], share: int) -> None:
    """Take the first groups that are within a class's share, and one more if that comes nearer to it."""
    not_taken = []
    for group in groups:
        size = len(digests.intersection(group))
        if size <= share and validation.take(group):
            share -= size
        else:
            not_taken.append((size, group))
    for size, group in sorted(not_taken):
        if size >= 2 * share or validation.take(group):  # as far above the share as now below it, or farther
            break
