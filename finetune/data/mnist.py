"""From a folder with MNIST's IDX files to records."""

from pathlib import Path

from finetune.data.dataset import Dataset, Found, make_listed_dataset
from finetune.data.idx import read_idx, read_images
from finetune.data.split import Split
from finetune.errors import DataError, ImageError


def is_mnist(data: Path) -> bool:
    """Tell whether a folder holds IDX files to train on."""
    return any(_find(data, f"train-{kind}") for kind in ("images-idx3", "labels-idx1"))


def read_mnist(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images of `train-images-idx3-ubyte` and its labels; `t10k-…` beside them, if there, is validation.

    Each file may end with .gz, and a dot may stand before `idx`. The path of a record is `IMAGES#NUMBER`; class names
    are the labels that occur in training, by value. Raises DataError when a file is missing, damaged or does not fit
    the others.
    """
    return make_listed_dataset(mnist_files(data), f"the train labels of {data}", "the t10k labels", val_fraction)


def mnist_files(data: Path) -> list[Found]:
    """Return the images of both pairs of files, or of the only one."""
    has_val = any(_find(data, f"t10k-{kind}") for kind in ("images-idx3", "labels-idx1"))
    files = _side(data, "train", "train" if has_val else None)
    return [*files, *_side(data, "t10k", "val")] if has_val else files


def _side(data: Path, prefix: str, side: Split | None) -> list[Found]:
    """Return the images of one pair of files."""
    images, labels = _needed(data, f"{prefix}-images-idx3"), _needed(data, f"{prefix}-labels-idx1")
    path = images
    try:
        count = len(read_images(path))
        path = labels
        values = read_idx(path, 1).tolist()
    except ImageError as error:
        raise DataError(f"{path}: {error}") from None
    if count != len(values):
        raise DataError(
            f"{images} has {count} images, but {labels.name} has {len(values)} labels; fetch both files again"
        )
    return [Found(images.with_name(f"{images.name}#{i}"), str(value), side) for i, value in enumerate(values)]


def _needed(data: Path, stem: str) -> Path:
    path = _find(data, stem)
    if path is None:
        raise DataError(f"{data} has no {stem}-ubyte, with or without .gz; images and labels belong together")
    return path


def _find(data: Path, stem: str) -> Path | None:
    """Return the file whose name begins with `stem` such as `train-images-idx3`, the plain one first."""
    names = (f"{name}-ubyte{ending}" for ending in ("", ".gz") for name in (stem, stem.replace("-idx", ".idx")))
    return next((data / name for name in names if (data / name).is_file()), None)
