"""List every file of a data set, more patiently than training does: what training refuses is a finding here."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.check.finding_kinds import Finding
from finetune.data.dataset import LabelledFile
from finetune.data.folder import (
    class_folders,
    files_below,
    find_split_folders,
    image_files,
    images_in,
    missing_classes_hint,
)
from finetune.data.mnist import is_mnist
from finetune.data.read_data import read_data
from finetune.data.split import Split
from finetune.errors import DataError


@dataclass(frozen=True)
class Listing:
    """The files to look at, all class names, what the listing itself found, and whether the files have splits.

    `own_splits`: whether they came with the data.
    """

    files: tuple[LabelledFile, ...]
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]
    has_splits: bool
    own_splits: bool


def list_files(data: Path) -> Listing:
    """Return the files of a folder, a list, a CSV or MNIST's IDX files.

    A folder may have any fault except two: no class folder at all, or data sets in place of classes. The other forms
    are read as training reads them. Raises DataError when there is nothing to check.
    """
    try:
        if data.is_dir() and not is_mnist(data):
            return _list_folder(data)
        dataset = read_data(data)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None
    names = dataset.class_names
    files = tuple(LabelledFile(r.path, names[r.label], r.split, r.group) for r in dataset.records)
    unreadable = tuple(Finding("unreadable", skipped.reason, (skipped.path,)) for skipped in dataset.skipped)
    return Listing(files, names, unreadable, has_splits=True, own_splits=dataset.val_fraction is None)


def _list_folder(data: Path) -> Listing:
    train, val = find_split_folders(data)
    folders: list[tuple[Path, Split | None]] = [(folder, "train" if val else None) for folder in class_folders(train)]
    folders += [(folder, "val") for folder in (class_folders(val) if val else ())]
    if not folders:
        hint = missing_classes_hint(train)
        raise DataError(f"expected class folders with images in {train}, found none{hint}; make a folder per class")
    files: list[LabelledFile] = []
    others: list[Path] = []
    for folder, split in folders:
        images = list(image_files(folder))
        files += (LabelledFile(path, folder.name, split) for path in images)
        others += _other_files(folder, images)
    class_names = tuple(sorted({folder.name for folder, _ in folders}))
    empty = sorted(set(class_names) - {file.class_name for file in files})
    findings = [Finding("empty-class", f"class {name!r} has no images") for name in empty]
    findings += _not_images(others)
    parents = dict.fromkeys((data, train, *([val] if val else [])))
    findings += [Finding("loose", "not in a class folder", (path,)) for parent in parents for path in images_in(parent)]
    return Listing(tuple(files), class_names, tuple(findings), has_splits=val is not None, own_splits=val is not None)


def _other_files(folder: Path, images: Iterable[Path]) -> Iterator[Path]:
    """Yield the files below a folder that are not among its images, except hidden ones and Windows' Thumbs.db."""
    known = set(images)
    return (path for path in files_below(folder) if path not in known and path.name != "Thumbs.db")


def _not_images(paths: list[Path]) -> Iterator[Finding]:
    """Yield one finding per file extension, so that 300 videos make one line."""
    for extension, count in sorted(Counter(path.suffix.lower() for path in paths).items()):
        same = tuple(path for path in paths if path.suffix.lower() == extension)
        yield Finding("passed-over", f"{count} with {f'extension {extension}' if extension else 'no extension'}", same)
