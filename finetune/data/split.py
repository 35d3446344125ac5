"""Which images are trained on, which validate and which are left for evaluation: every rule, for every form of data.

- Folders: `train/` next to `val/`, `valid/` or `validation/`, or to `test/` (`split_folders`).
- A CSV with a `split` column says it line by line, with the same names (`SPLIT_NAMES`).
- MNIST: the `train-…` files are `train`, and the `t10k-…` files are `test` (`MNIST_SPLITS`).
- Training never uses `test`. Where no image validates by its name, the bytes of each image to train on decide
  (`split_by_digest`); a group of images is in one split (`to_train_on`).
- `evaluate` takes a split by its name, otherwise the first that the data has of `val`, `test` and all
  (`to_evaluate`).
"""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path

from finetune.choices import SplitName
from finetune.data.groups import Group, joined_groups
from finetune.errors import DataError
from finetune.system.text import image_count

logger = logging.getLogger(__name__)

SPLIT_PREFIXES = ("train", "val", "test")  # what other names of splits begin with: training, test_set, …

# The name of a folder or a cell, in lower case -> the split that it names.
SPLIT_NAMES: dict[str, SplitName] = {
    "train": "train",
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    "test": "test",
}

# The split -> what the names of MNIST's files begin with.
MNIST_SPLITS: dict[SplitName, str] = {"train": "train", "test": "t10k"}

# The name of a split in the data, None if that names none -> its images, which may be found only when they are used.
FoundSplits = Mapping[SplitName | None, Iterable[object]]

# Of the splits to use: its name in the data -> the split of its images, None if bytes decide.
ChosenSplits = dict[SplitName | None, SplitName | None]

ChooseSplits = Callable[[Path, FoundSplits], ChosenSplits]


def to_check(data: Path, found: FoundSplits) -> ChosenSplits:
    """Choose every split: where no image validates, the bytes decide which of those to train on do."""
    if None in found:
        return {None: None}
    return {split: None if split == "train" and "val" not in found else split for split in found}


def to_train_on(data: Path, found: FoundSplits) -> ChosenSplits:
    """Choose what training uses: every split but test, whose images a line in the log counts.

    If they cannot be found or are damaged, a warning says why.
    """
    chosen = to_check(data, found)
    if chosen.pop("test", None):
        try:
            count = sum(1 for _ in found["test"])
        except DataError as error:
            logger.warning("not used in training, and cannot be evaluated: the split test of %s (%s)", data, error)
            return chosen
        if count:
            logger.info(
                "not used in training: the split test of %s, %s (evaluate --data %s --split test)",
                data,
                image_count(count),
                data,
            )
    return chosen


def to_evaluate(data: Path, found: FoundSplits, split: SplitName | None = None) -> ChosenSplits:
    """Choose one split: `split`, or else validation, test or all images, whichever has labelled images first.

    Raises DataError if the data has no `split`.
    """
    if split and split not in found:
        raise missing_split(data, split, found)
    order: tuple[SplitName | None, ...] = (split,) if split else (None, "val", "test", "train")
    named = [name for name in order if name in found]
    labelled = [name for name in named if any(True for _ in found[name])]  # Kaggle's test images have no labels
    return {name: name for name in (labelled or named)[:1]}


def split_folders(data: Path, folders: Sequence[Path]) -> dict[SplitName | None, Path]:
    """Return split -> which of the `folders` in `data` has its name, in any case; training comes first.

    If `train/` is neither alone nor next to another split, the folders are classes: then None -> `data` comes first.
    Raises DataError for two folders of one split.
    """
    named: dict[SplitName | None, Path] = {}
    for split in dict.fromkeys(SPLIT_NAMES.values()):
        if same := [folder for folder in folders if SPLIT_NAMES.get(folder.name.lower()) == split]:
            named[split] = _only(same)
    if "train" not in named or len(named) == 1 < len(folders):
        return {None: data, **named}
    return named


def missing_split(data: Path, split: str, found: Collection[str | None]) -> DataError:
    """Return the error for data that does not have a split, but those in `found`."""
    has = " and ".join(name for name in dict.fromkeys(SPLIT_NAMES.values()) if name in found)
    advice = "give one of those to --split" if has else "evaluate all of its images without --split"
    return DataError(
        f"expected a split {split!r} in {data}, but it has {has or 'no splits of its own'}; {advice}, or "
        "give data with that split to --data"
    )


def _only(same: list[Path]) -> Path:
    """Return the folder of a split; raise DataError for two."""
    if len(same) > 1:
        raise DataError(f"{same[0]} and {same[1]} name the same split; expected one of them; move the other elsewhere")
    return same[0]


def split_by_digest(
    labelled: Sequence[tuple[int, str]], val_fraction: float, together: Iterable[Sequence[str]] = ()
) -> dict[str, SplitName]:
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
