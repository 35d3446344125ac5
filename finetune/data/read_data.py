"""`read_data(data)`: the same records, whatever form the data has."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, LabelledFile
from finetune.data.folder import folder_files, missing_classes_hint, read_folder
from finetune.data.image_kinds import IMAGE_EXTENSIONS
from finetune.data.lists import list_files, read_list, read_table, table_files
from finetune.data.mnist import is_mnist, mnist_files, read_mnist
from finetune.data.split import ChooseSplits, to_check, to_evaluate
from finetune.data.table_lines import PARQUET, is_table
from finetune.errors import DataError, UsageError
from finetune.system.nearest_path import did_you_mean_path

# What the first bytes of a file in place of a list say that it is.
_CONTAINERS = {
    b"\x89HDF": "an HDF5 file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"SQLi": "an SQLite database",
}
# The extension of a file in place of a list -> what it is, and what to do.
_OTHER_FILES = {
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods"), ("a spreadsheet", "save it as CSV UTF-8, with the columns path and label")
    ),
    **dict.fromkeys(
        (".json", ".jsonl", ".ndjson", ".xml", ".yaml", ".yml"),
        ("not a list", "write a CSV with the columns path and label, or lines of a path and its label"),
    ),
}
_PARQUET_START = b"PAR1"
_LMDB = "data.mdb"  # Caffe's databases are folders with this file


class _DataForm(NamedTuple):
    """How to read one form of data: as records to train on, and as files with their classes."""

    read: Callable[[Path, float, str | None, bool], Dataset]
    files: Callable[[Path, ChooseSplits], list[LabelledFile]]


def read_data(data: Path, val_fraction: float = 0.2, group_by: str | None = None, cache: bool = True) -> Dataset:
    """Return the images of MNIST's IDX files, of a folder, of a CSV, Parquet or text list, ready to train on.

    `val_fraction`: the share of each class that validates, if the data says of no image that it does. `group_by`: how
    paths name groups, as `group_name`; no group is in two splits, unless the data's own splits divide it. With `cache`,
    files that were hashed before and have not changed are not read. Raises UsageError if the data does not exist or is
    an image, DataError if it cannot be trained on.
    """
    try:
        return _form_of(data).read(data, val_fraction, group_by, cache)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None


def labelled_files(data: Path, split: SplitName | None = None) -> list[LabelledFile]:
    """Return the images to evaluate a model on, with their classes: validation images, else test images, else all.

    With `split`: those of the split that the data calls so (`finetune.data.split`). The files themselves are not read.
    Raises UsageError if the data does not exist or is an image, DataError without such a split or labelled images.
    """
    place = f"the split {split!r} of {data}" if split else str(data)
    return _files(data, partial(to_evaluate, split=split), place)


def all_files(data: Path) -> list[LabelledFile]:
    """Return all images with their classes and the splits that the data names, or None where training makes them.

    The files themselves are not read. Raises UsageError if the data does not exist or is an image, DataError if it has
    no labelled images.
    """
    return _files(data, to_check, str(data))


def _files(data: Path, choose: ChooseSplits, place: str) -> list[LabelledFile]:
    """Return the images of the chosen splits; raise DataError, which calls them `place`, if there are none."""
    try:
        files = _form_of(data).files(data, choose)
        if not files:
            hint = missing_classes_hint(data) if place == str(data) and data.is_dir() else ""
            raise DataError(f"{place} has no labelled images{hint}; expected a folder of images per class, or a list")
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None
    return files


def _form_of(data: Path) -> _DataForm:
    if is_mnist(data):
        return _DataForm(read_mnist, mnist_files)
    if (data / _LMDB).is_file():
        raise _not_images(data, "an LMDB database")
    if data.is_dir():
        return _DataForm(read_folder, folder_files)
    if data.exists() and not (data.is_file() or data.is_fifo()):
        raise DataError(f"expected a folder or list of images, but {data} is a device or a socket")
    if not data.exists():
        near = did_you_mean_path(data)
        raise UsageError(f"expected a folder or list of images, but {data} does not exist{near}; check its name")
    if data.is_file() and data.suffix.lower() in IMAGE_EXTENSIONS:
        raise UsageError(f"expected a folder or list of images, but {data} is an image; name the folder of the classes")
    _refuse_container(data)
    return _DataForm(read_table, table_files) if is_table(data) else _DataForm(read_list, list_files)


def _refuse_container(data: Path) -> None:
    """Raise DataError for a file that holds images, or paths, in a way that is not read."""
    if data.suffix.lower() in _OTHER_FILES:
        what, to_do = _OTHER_FILES[data.suffix.lower()]
        raise DataError(f"expected a folder or list of images, but {data} is {what}; {to_do}")
    if not data.is_file():  # nothing is read from a pipe here: what follows needs all of it
        return
    with data.open("rb") as file:
        start = file.read(4)
    if start == _PARQUET_START and data.suffix.lower() != PARQUET:
        raise DataError(
            f"expected a list in a Parquet file to be named like {data.stem}{PARQUET}, not {data}; rename it"
        )
    if kind := next((kind for beginning, kind in _CONTAINERS.items() if start.startswith(beginning)), None):
        raise _not_images(data, kind)


def _not_images(data: Path, kind: str) -> DataError:
    return DataError(
        f"expected a folder or list of images, but {data} is {kind}; unpack it into image files, in a folder per class"
    )
