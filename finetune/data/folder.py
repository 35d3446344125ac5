"""From a folder of pictures to records: a folder per class, with or without folders for the two sides."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from finetune.data.dataset import VALIDATION_NAMES, Dataset, Found, Split, check_validation_names, make_dataset
from finetune.data.decode import image_format
from finetune.errors import DataError

logger = logging.getLogger(__name__)

IMAGE_EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff")
)


def read_folder(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images below `data`: a folder per class, or `train/` beside `val/`, `valid/` or `test/` with those.

    Images in nested folders belong to their top class folder. Class names are the sorted folder names of the training
    side; a class only in validation is an error. Without folders for both sides, `split_sides` shares the images out.
    Hidden files and files that are no images are passed over. Damaged headers are listed in `skipped`.
    Raises DataError when nothing can be trained on, with what to do.
    """
    train, val = _sides(data)
    class_names = tuple(folder.name for folder in _folders(train))
    if len(class_names) < 2:
        found = f"only {class_names[0]!r}" if class_names else "none"
        raise DataError(f"expected at least two class folders in {train}, found {found}; make a folder per class")
    side: Split | None = "train" if val else None
    files = [Found(path, name, side) for name in class_names for path in image_files(train / name)]
    empty = set(class_names) - {file.class_name for file in files}
    if empty:
        name = min(empty)
        raise DataError(f"class {name!r} has no images: {train / name}; add pictures or remove the folder")
    if val:
        check_validation_names((folder.name for folder in _folders(val)), class_names, train, val)
        files += [Found(path, folder.name, "val") for folder in _folders(val) for path in image_files(folder)]
    return make_dataset(files, class_names, val_fraction)


def folder_files(data: Path) -> list[Found]:
    """Return the images in the class folders of `data`, or of its validation folder if it has both sides."""
    train, val = _sides(data)
    return [Found(path, folder.name, None) for folder in _folders(val or train) for path in image_files(folder)]


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files among `files_below`."""
    return filter(is_image, files_below(folder))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder` that are not hidden, sorted: those of a folder before those of its folders.

    Links are followed, but no folder is entered twice, nor one that holds `folder`, so that loops end. Raises DataError
    for a folder that cannot be entered: its pictures would be missing without a word.
    """
    seen = {_identity(parent) for parent in folder.resolve().parents}
    waiting = [folder]  # and not os.walk, whose recursion ends at a thousand nested folders
    while waiting:
        parent = waiting.pop()
        try:
            if _identity(parent) in seen:
                continue
            seen.add(_identity(parent))
            with os.scandir(parent) as entries:
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            place = str(parent)[:200]  # of the nested folders that are too deep to open, 4,096 bytes
            raise DataError(f"{place} cannot be opened ({error.strerror}); mend that or leave it out") from None
        yield from (parent / name for name, is_folder in found if not is_folder)
        waiting += (parent / name for name, is_folder in reversed(found) if is_folder)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def is_image(path: Path) -> bool:
    """Tell whether a file means to be an image: by its extension, or by its first bytes.

    Pipes, devices and sockets never do.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (path.is_file raises for a name that is too long)
            return False
    except OSError:  # a link that leads nowhere
        return path.suffix.lower() in IMAGE_EXTENSIONS
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        return True
    try:
        with path.open("rb") as file:
            return image_format(file.read(12)) is not None
    except OSError:
        return False


def _sides(data: Path) -> tuple[Path, Path | None]:
    """Return the folders with the classes for training and, if there is one, for validation."""
    if not (data / "train").is_dir():
        return data, None
    present = [data / name for name in VALIDATION_NAMES if (data / name).is_dir()]
    if not present:
        return (data / "train" if _folders(data) == [data / "train"] else data), None
    if len(present) > 1:
        logger.warning("validating on %s; %s is not used", present[0], ", ".join(map(str, present[1:])))
    return data / "train", present[0]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
