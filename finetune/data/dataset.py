"""The records that training takes from any form of data: which image, which class, which split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from finetune.choices import SplitName
from finetune.data.digests import digests
from finetune.data.groups import Group, group_name, joined_groups
from finetune.data.split import split_by_digest
from finetune.errors import DataError, ImageError, UsageError
from finetune.system.progress import track
from finetune.system.text import did_you_mean


class Record(NamedTuple):
    """One readable image: its path, the index of its class, its split, train or val, and the SHA-256 of its bytes.

    `group`: the name of its group, "" if it is a group of its own.
    """

    path: Path
    label: int
    split: SplitName
    digest: str
    group: str = ""


class LabelledFile(NamedTuple):
    """One file that should be an image; its split is None if that is yet to be decided.

    `group`: the name of its group, "" if it is a group of its own.
    """

    path: Path
    class_name: str
    split: SplitName | None
    group: str = ""


class Skipped(NamedTuple):
    """One image that was skipped, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Dataset:
    """All records in a fixed order, the class names by label, and the images that were skipped.

    `val_fraction`: the share by which they were split, None if the data brought its own splits. `copies`: groups of
    digests of images that count as one in the split.
    """

    records: tuple[Record, ...]
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    val_fraction: float | None = field(default=None, compare=False)
    copies: tuple[Group, ...] = field(default=(), compare=False)

    def all_to_train(self) -> "Dataset":
        """Return the dataset with every image to train on, if it was split by `val_fraction`; otherwise as it is."""
        if self.val_fraction is None:
            return self
        return replace(self, records=tuple(record._replace(split="train") for record in self.records))

    def without(self, unreadable: dict[Path, str]) -> "Dataset":
        """Return the dataset less the images that turned out unreadable, path -> reason; DataError as in `check`."""
        records = tuple(record for record in self.records if record.path not in unreadable)
        skipped = (*self.skipped, *(Skipped(path, reason) for path, reason in unreadable.items()))
        dataset = replace(self, records=records, skipped=skipped)
        dataset.check(validation=any(record.split == "val" for record in self.records))
        return dataset

    def with_copies(self, copies: Iterable[Sequence[str]]) -> "Dataset":
        """Return the dataset split again, by its `val_fraction`, with each group of copies in one split.

        `copies`: the digests of each group. Splits that the data brought stay as they are. If no image could validate,
        because every class is one group, the split is that without them.
        """
        copied = tuple(tuple(group) for group in copies)
        if self.val_fraction is None:
            return replace(self, copies=copied)
        labelled = [(record.label, record.digest) for record in self.records]
        groups = [[record.digest for record in same] for same in self.by_group().values()]
        splits = split_by_digest(labelled, self.val_fraction, (*groups, *copied))
        if "val" not in splits.values():
            splits = split_by_digest(labelled, self.val_fraction, groups)
        records = tuple(record._replace(split=splits[record.digest]) for record in self.records)
        return replace(self, records=records, copies=copied)

    def by_copy(self) -> list[list[Record]]:
        """Return the groups of two or more images that are identical, or that `copies` joins."""
        group_of = joined_groups((record.digest for record in self.records), self.copies)
        groups: dict[Group, list[Record]] = {}
        for record in self.records:
            groups.setdefault(group_of[record.digest], []).append(record)
        return [same for same in groups.values() if len(same) > 1]

    def by_group(self) -> dict[str, list[Record]]:
        """Return group name -> its records; empty if no image is in a group with a name."""
        groups: dict[str, list[Record]] = {}
        for record in self.records:
            if record.group:
                groups.setdefault(record.group, []).append(record)
        return groups

    def divided_groups(self) -> dict[str, list[Record]]:
        """Return those of `by_group` that are in two splits, which only the data's own splits can cause."""
        return {name: same for name, same in self.by_group().items() if len({record.split for record in same}) > 1}

    def check(self, validation: bool = True) -> None:
        """Raise DataError unless every class has an image to train on and, with `validation`, one image validates."""
        hint = ""
        if self.skipped:
            first = self.skipped[0]
            hint = f"; {len(self.skipped)} skipped, the first: {first.path}: {first.reason}"
        if not self.records:
            raise DataError(f"no readable image was found{hint}")
        trained = {record.label for record in self.records if record.split == "train"}
        empty = [name for label, name in enumerate(self.class_names) if label not in trained]
        if empty:
            names = ", ".join(map(repr, empty))
            raise DataError(f"no readable image to train on for class {names}; add images or remove the class{hint}")
        if validation and not any(record.split == "val" for record in self.records):
            two = "two groups (--group-by)" if self.by_group() else "two"
            raise DataError(
                f"no image is left for validation; add images: at least {two} per class, or some for validation{hint}"
            )


def make_dataset(
    files: list[LabelledFile],
    class_names: tuple[str, ...],
    val_fraction: float,
    group_by: str | None = None,
    cache: bool = True,
) -> Dataset:
    """Hash every file and read its header, as `digests`; `split_by_digest` assigns those that have no split.

    `group_by`: how paths name groups, as `group_name`. Files whose header is damaged are listed in `skipped`. Raises
    DataError if the rest cannot be trained on, UsageError if files bring groups and `group_by` is given.
    """
    if group_by:
        files = _grouped(files, group_by)
    labels = {name: label for label, name in enumerate(class_names)}
    found = track(digests((file.path for file in files), cache), len(files), "reading", "files")
    hashed: list[tuple[LabelledFile, str]] = []
    skipped: list[Skipped] = []
    for file, result in zip(files, found, strict=True):
        if isinstance(result, ImageError):
            skipped.append(Skipped(file.path, str(result)))
        else:
            hashed.append((file, result))
    unsplit = [(labels[file.class_name], digest) for file, digest in hashed if file.split is None]
    groups: dict[str, list[str]] = {}
    for file, digest in hashed:
        if file.group and file.split is None:
            groups.setdefault(file.group, []).append(digest)
    splits = split_by_digest(unsplit, val_fraction, groups.values())
    records = tuple(
        Record(file.path, labels[file.class_name], file.split or splits[digest], digest, file.group)
        for file, digest in hashed
    )
    ours = val_fraction if all(file.split is None for file in files) else None
    dataset = Dataset(records, class_names, tuple(skipped), ours)
    dataset.check()
    return dataset


def _grouped(files: list[LabelledFile], group_by: str) -> list[LabelledFile]:
    """Return the files with the groups that their paths name."""
    if any(file.group for file in files):
        raise UsageError("the data has groups, in its column group, and --group-by names others; omit --group-by")
    return [file._replace(group=group_name(file.path, group_by)) for file in files]


def make_listed_dataset(
    files: list[LabelledFile],
    train: object,
    val: object,
    val_fraction: float,
    group_by: str | None = None,
    cache: bool = True,
) -> Dataset:
    """Return `make_dataset` of files in any form; the classes are those trained on, in the order of `sort_names`.

    `train` and `val`: how a DataError refers to the two splits, for too few classes or a class that only validates.
    """
    class_names = sort_names({file.class_name for file in files if file.split != "val"})
    if len(class_names) < 2:
        found = f"only {class_names[0]!r}" if class_names else "none"
        raise DataError(f"expected at least two classes in {train}, found {found}; add images of another class")
    check_validation_names((file.class_name for file in files), class_names, train, val)
    return make_dataset(files, class_names, val_fraction, group_by, cache)


def check_validation_names(names: Iterable[str], class_names: tuple[str, ...], train: object, val: object) -> None:
    """Raise DataError for the first of the names that is not a class to train on."""
    known = set(class_names)
    for name in names:
        if name not in known:
            raise DataError(
                f"class {name!r} is in {val} but not in {train}{did_you_mean(name, class_names)}; "
                "every class needs images to train on"
            )


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names sorted: by value if all are numbers, else by their characters."""
    by_name = sorted(names)
    if all(name.isdecimal() and len(name) < 10 for name in by_name):  # longer ones are identifiers
        by_name.sort(key=int)
    return tuple(by_name)
