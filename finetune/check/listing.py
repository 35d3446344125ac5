"""List every file of a data set, more patiently than training does: what training refuses is a finding here."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from finetune.check.finding_kinds import Finding
from finetune.data.class_name import checked_names
from finetune.data.dataset import LabelledFile, sort_names
from finetune.data.folder import (
    class_folders,
    files_below,
    find_split_folders,
    image_files,
    images_in,
    missing_classes_hint,
)
from finetune.data.mnist import is_mnist
from finetune.data.read_data import all_files
from finetune.data.split import to_check
from finetune.errors import DataError


@dataclass(frozen=True)
class Listing:
    """The files to look at, all class names, and what the listing itself found.

    A file has the split that the data names, None where training makes it.
    """

    files: tuple[LabelledFile, ...]
    class_names: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_files(data: Path) -> Listing:
    """Return the files of a folder, a list, a CSV or MNIST's IDX files.

    They may have any fault except four: a list that cannot be read, no image in a class, a class whose name cannot be
    used, or data sets in place of classes. Raises DataError when there is nothing to check.
    """
    try:
        if data.is_dir() and not is_mnist(data):
            return _list_folder(data)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None
    files = tuple(all_files(data))
    return Listing(files, sort_names({file.class_name for file in files}), ())


def _list_folder(data: Path) -> Listing:
    splits = find_split_folders(data, to_check)
    folders = [(folder, split) for parent, split in splits for folder in class_folders(parent)]
    if not folders:
        train, _ = splits[0]
        hint = missing_classes_hint(train)
        raise DataError(f"expected class folders with images in {train}, found none{hint}; make a folder per class")
    names = checked_names(data, (folder.name for folder, _ in folders))
    files: list[LabelledFile] = []
    others: list[Path] = []
    for folder, split in folders:
        images = list(image_files(folder))
        files += (LabelledFile(path, names[folder.name], split) for path in images)
        others += _other_files(folder, images)
    class_names = sort_names(set(names.values()))
    empty = sorted(set(class_names) - {file.class_name for file in files})
    findings = [Finding("empty-class", f"class {name!r} has no images") for name in empty]
    findings += _not_images(others)
    parents = dict.fromkeys((data, *(parent for parent, _ in splits)))
    findings += [Finding("loose", "not in a class folder", (path,)) for parent in parents for path in images_in(parent)]
    return Listing(tuple(files), class_names, tuple(findings))


def _other_files(folder: Path, images: Iterable[Path]) -> Iterator[Path]:
    """Yield the files below a folder that are not among its images, except hidden ones and Windows' Thumbs.db."""
    known = set(images)
    return (path for path in files_below(folder) if path not in known and path.name != "Thumbs.db")


def _not_images(paths: list[Path]) -> Iterator[Finding]:
    """Yield one finding per file extension, so that 300 videos make one line."""
    for extension, count in sorted(Counter(path.suffix.lower() for path in paths).items()):
        same = tuple(path for path in paths if path.suffix.lower() == extension)
        yield Finding("passed-over", f"{count} with {f'extension {extension}' if extension else 'no extension'}", same)
