"""Every file of a data set, more patiently than training takes it: what training refuses is a finding here."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.check.finding import Finding
from finetune.data.dataset import Found
from finetune.data.folder import (
    class_folders,
    files_below,
    find_sides,
    image_files,
    instead_of_classes,
    pictures_in,
)
from finetune.data.mnist import is_mnist
from finetune.data.read_data import read_data
from finetune.errors import DataError


@dataclass(frozen=True)
class Listing:
    """The files to look at, all class names, what the listing itself found, and whether the data has its own sides."""

    files: tuple[Found, ...]
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]
    has_sides: bool


def list_files(data: Path) -> Listing:
    """Return the files of a folder, a list, a CSV or MNIST's IDX files.

    A folder may have any faults but to have no class folder, or data sets for classes; the other forms are read as
    training reads them. Raises DataError when there is nothing to check.
    """
    try:
        if data.is_dir() and not is_mnist(data):
            return _list_folder(data)
        dataset = read_data(data)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None
    files = tuple(Found(record.path, dataset.class_names[record.label], record.split) for record in dataset.records)
    unreadable = tuple(Finding("unreadable", skipped.reason, (skipped.path,)) for skipped in dataset.skipped)
    return Listing(files, dataset.class_names, unreadable, has_sides=True)


def _list_folder(data: Path) -> Listing:
    train, val = find_sides(data)
    folders = [(folder, "train" if val else None) for folder in class_folders(train)]
    folders += [(folder, "val") for folder in (class_folders(val) if val else ())]
    if not folders:
        found = f"none{instead_of_classes(train)}"
        raise DataError(f"expected class folders with pictures in {train}, found {found}; make a folder per class")
    files: list[Found] = []
    others: list[Path] = []
    for folder, side in folders:
        pictures = list(image_files(folder))
        files += (Found(path, folder.name, side) for path in pictures)  # type: ignore[arg-type]
        others += _without(folder, pictures)
    class_names = tuple(sorted({folder.name for folder, _ in folders}))
    empty = sorted(set(class_names) - {file.class_name for file in files})
    findings = [Finding("empty-class", f"class {name!r} has no pictures") for name in empty]
    findings += _passed_over(others)
    parents = dict.fromkeys((data, train, *([val] if val else [])))
    findings += [Finding("loose", "in no class folder", (path,)) for parent in parents for path in pictures_in(parent)]
    return Listing(tuple(files), class_names, tuple(findings), val is not None)


def _without(folder: Path, pictures: Iterable[Path]) -> Iterator[Path]:
    """Yield the files below a folder that are not among its pictures; hidden ones are nobody's business."""
    known = set(pictures)
    return (path for path in files_below(folder) if path not in known and path.name != "Thumbs.db")


def _passed_over(paths: list[Path]) -> Iterator[Finding]:
    """Yield one finding an extension, so that 300 films are one line."""
    for extension, count in sorted(Counter(path.suffix.lower() for path in paths).items()):
        same = tuple(path for path in paths if path.suffix.lower() == extension)
        yield Finding("passed-over", f"{count} with {extension or 'no extension'}", same)
