"""`read_data(data)`: whatever form the data has, the same records."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from finetune.data.dataset import Dataset, Found
from finetune.data.folder import folder_files, instead_of_classes, read_folder
from finetune.data.lists import csv_files, list_files, read_csv, read_list
from finetune.data.mnist import is_mnist, mnist_files, read_mnist
from finetune.errors import DataError


class _Form(NamedTuple):
    """What reads data of one form: as records with sides to train on, and as files with classes."""

    read: Callable[[Path, float], Dataset]
    files: Callable[[Path], list[Found]]


def read_data(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images that `data` means: MNIST's IDX files, folders of pictures, a CSV, or a text list.

    Raises DataError when it does not exist or cannot be trained on.
    """
    try:
        return _form(data).read(data, val_fraction)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None


def labelled_files(data: Path) -> list[Found]:
    """Return the images that `data` means, with their classes, to judge a model by; whether they can be read is open.

    Where the data has two sides it is those of validation. Raises DataError when it does not exist or holds none.
    """
    try:
        files = _form(data).files(data)
        if not files:
            found = instead_of_classes(data) if data.is_dir() else ""
            raise DataError(
                f"{data} has no labelled pictures{found}: expected a folder per class with pictures, or a list"
            )
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None
    return [file for file in files if file.side == "val"] or files


def _form(data: Path) -> _Form:
    if is_mnist(data):
        return _Form(read_mnist, mnist_files)
    if data.is_dir():
        return _Form(read_folder, folder_files)
    if data.exists() and not (data.is_file() or data.is_fifo()):
        raise DataError(f"expected a folder or list of pictures, but {data} is a device or a socket")
    if not data.exists():
        raise DataError(f"expected a folder or list of pictures, but {data} does not exist")
    return _Form(read_csv, csv_files) if data.suffix.lower() == ".csv" else _Form(read_list, list_files)
