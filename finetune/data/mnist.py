"""From a folder with MNIST's IDX files to records."""

from pathlib import Path

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, LabelledFile, make_listed_dataset
from finetune.data.idx import read_idx, read_images
from finetune.data.split import MNIST_SPLITS, MNIST_TRAIN, MNIST_VALIDATION, Split, missing_split
from finetune.errors import DataError, ImageError


def is_mnist(data: Path) -> bool:
    """Return whether a folder holds IDX files to train on."""
    return _has_files(data, MNIST_TRAIN)


def read_mnist(data: Path, val_fraction: float = 0.2, group_by: str | None = None) -> Dataset:
    """Return the images of `train-images-idx3-ubyte` with their labels; those of `t10k-…`, if present, validate.

    Each file name may end with .gz and may have a dot before `idx`. The path of a record is `IMAGES#NUMBER`; class
    names are the labels that occur in training, by value. Raises DataError if a file is missing, is damaged or does
    not fit the others.
    """
    train, val = f"the train labels of {data}", "the t10k labels"
    return make_listed_dataset(mnist_files(data), train, val, val_fraction, group_by)


def mnist_files(data: Path, split: SplitName | None = None) -> list[LabelledFile]:
    """Return the images of both pairs of files, or of the training pair if there is no other.

    With `split`: those of its pair; the `t10k-…` files are `test`.
    """
    if split:
        found = {name: prefix for name, prefix in MNIST_SPLITS.items() if _has_files(data, prefix)}
        if split not in found:
            raise missing_split(data, split, found)
        return _labelled(data, found[split], None)
    has_validation = _has_files(data, MNIST_VALIDATION)
    files = _labelled(data, MNIST_TRAIN, "train" if has_validation else None)
    return [*files, *_labelled(data, MNIST_VALIDATION, "val")] if has_validation else files


def _has_files(data: Path, prefix: str) -> bool:
    return any(_find(data, f"{prefix}-{kind}") for kind in ("images-idx3", "labels-idx1"))


def _labelled(data: Path, prefix: str, split: Split | None) -> list[LabelledFile]:
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
            f"{images} has {count} images, but {labels.name} has {len(values)} labels; get both files again"
        )
    return [
        LabelledFile(images.with_name(f"{images.name}#{number}"), str(value), split)
        for number, value in enumerate(values)
    ]


def _needed(data: Path, stem: str) -> Path:
    path = _find(data, stem)
    if path is None:
        raise DataError(f"{data} has no {stem}-ubyte, with or without .gz; images and labels belong together")
    return path


def _find(data: Path, stem: str) -> Path | None:
    """Return the file whose name begins with `stem`, such as `train-images-idx3`; uncompressed files come first."""
    names = (f"{name}-ubyte{ending}" for ending in ("", ".gz") for name in (stem, stem.replace("-idx", ".idx")))
    return next((data / name for name in names if (data / name).is_file()), None)
