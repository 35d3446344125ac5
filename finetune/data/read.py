"""`read_data(data)`: whatever form the data has, the same records."""

from collections.abc import Callable
from pathlib import Path

from finetune.data.dataset import Dataset
from finetune.data.folder import read_folder
from finetune.data.lists import read_csv, read_list
from finetune.data.mnist import is_mnist, read_mnist
from finetune.errors import DataError


def read_data(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images that `data` means: MNIST's IDX files, folders of pictures, a CSV, or a text list.

    Raises DataError when it does not exist or cannot be trained on.
    """
    try:
        return _reader(data)(data, val_fraction)
    except OSError as error:
        raise DataError(f"{error.filename or data} cannot be opened ({error.strerror})") from None


def _reader(data: Path) -> Callable[[Path, float], Dataset]:
    if is_mnist(data):
        return read_mnist
    if data.is_dir():
        return read_folder
    if not data.exists():
        raise DataError(f"expected a folder or list of pictures, but {data} does not exist")
    return read_csv if data.suffix.lower() == ".csv" else read_list
