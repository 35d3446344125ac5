"""From a folder with MNIST's IDX files to records."""

from collections.abc import Iterator
from pathlib import Path

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, LabelledFile, make_listed_dataset
from finetune.data.idx import read_idx, read_images
from finetune.data.split import MNIST_SPLITS, ChooseSplits, to_train_on
from finetune.errors import DataError, ImageError


def is_mnist(data: Path) -> bool:
    """Return whether a folder holds IDX files to train on."""
    return _has_files(data, MNIST_SPLITS["train"])


def read_mnist(data: Path, val_fraction: float = 0.2, group_by: str | None = None, cache: bool = True) -> Dataset:
    """Return the images of `train-images-idx3-ubyte` with their labels; those of `t10k-…` are left for evaluation.

    Each file name may end with .gz and may have a dot before `idx`. The path of a record is `IMAGES#NUMBER`; class
    names are the labels that occur in training, by value. Raises DataError if a file is missing, is damaged or does
    not fit the others.
    """
    train = f"the train labels of {data}"
    return make_listed_dataset(mnist_files(data, to_train_on), train, train, val_fraction, group_by, cache)


def mnist_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the images of the chosen pairs of files; those of another pair are at most counted."""
    found: dict[SplitName | None, Iterator[LabelledFile]] = {
        split: _found(data, prefix) for split, prefix in MNIST_SPLITS.items() if _has_files(data, prefix)
    }
    chosen = choose(data, found)
    return [
        file
        for split, prefix in MNIST_SPLITS.items()
        if split in chosen
        for file in _labelled(data, prefix, chosen[split])
    ]


def _has_files(data: Path, prefix: str) -> bool:
    return any(_find(data, f"{prefix}-{kind}") for kind in ("images-idx3", "labels-idx1"))


def _found(data: Path, prefix: str) -> Iterator[LabelledFile]:
    """Yield the images of a pair of files, which is read only when they are wanted."""
    yield from _labelled(data, prefix, None)


def _labelled(data: Path, prefix: str, split: SplitName | None) -> list[LabelledFile]:
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
