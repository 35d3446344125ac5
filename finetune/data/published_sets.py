"""Image sets that papers report on, in the layout in which they are published: files with their classes and splits."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.choices import SplitName
from finetune.data.dataset import LabelledFile
from finetune.data.read_data import all_files
from finetune.errors import DataError, UsageError

CALTECH101 = "101_ObjectCategories"
JPG, LABELS, SPLITS = "jpg", "imagelabels.mat", "setid.mat"
_SPLIT_KEYS: dict[str, SplitName] = {"trnid": "train", "valid": "val", "tstid": "test"}


def caltech101_files(data: Path) -> list[LabelledFile]:
    """Return the images of Caltech-101 (Fei-Fei et al. 2004), by class and name, without splits.

    `data`: the folder 101_ObjectCategories, or the one that it is in. BACKGROUND_Google is a class if it is there.
    Raises UsageError if `data` does not exist, DataError if it has no class folders.
    """
    return all_files(data / CALTECH101 if (data / CALTECH101).is_dir() else data)


def flowers102_files(data: Path) -> list[LabelledFile]:
    """Return the images of Oxford's 102 flowers (Nilsback and Zisserman 2008) in the official splits.

    `data`: a folder with jpg/, imagelabels.mat and setid.mat. The classes are called 001 to 102, as they are numbered.
    Raises UsageError if one of them is missing, DataError if the .mat files do not describe the images.
    """
    for name in (JPG, LABELS, SPLITS):
        if not (data / name).exists():
            raise UsageError(
                f"expected {JPG}/, {LABELS} and {SPLITS} in {data}, but {name} is missing; get it from the same page"
            )
    labels = _numbers(data / LABELS, "labels")
    files = []
    for key, split in _SPLIT_KEYS.items():
        for number in _numbers(data / SPLITS, key):
            path = data / JPG / f"image_{number:05d}.jpg"
            if not 0 < number <= len(labels) or not path.is_file():
                raise DataError(
                    f"{data / SPLITS} names image {number}, but {path} or its label is missing; unpack the images again"
                )
            files.append(LabelledFile(path, f"{labels[number - 1]:03d}", split))
    return files


def _numbers(path: Path, key: str) -> NDArray[np.int64]:
    """Return the whole numbers that a MATLAB file has under a name; raise DataError if it cannot be read."""
    from scipy.io import loadmat

    try:
        found: dict[str, Any] = loadmat(path, variable_names=[key])
        values = np.asarray(found[key]).ravel()
        if values.dtype.kind not in "iu" or not len(values):
            raise ValueError(f"{key} has no whole numbers")
    except Exception as error:  # scipy raises a dozen kinds for damaged files
        reason = error or type(error).__name__
        raise DataError(f"{path}: expected a MATLAB file with {key} ({reason}); get a new copy") from None
    return values.astype(np.int64)
