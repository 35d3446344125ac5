"""From a folder of pictures to records: a folder per class, with or without folders for the two sides."""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from finetune.data.dataset import Dataset, Found, check_validation_names, make_dataset
from finetune.data.header import image_format
from finetune.data.split import TEST_NAME, VALIDATION_NAMES, Split
from finetune.errors import DataError

logger = logging.getLogger(__name__)

_READABLE = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff")
IMAGE_EXTENSIONS = frozenset((*_READABLE, ".heic", ".heif", ".avif"))  # what cannot be read is said of each
_LIKE_SIDES = ("train", "val", "test")  # what names of sides begin with that we do not know: training, test_set, …
CLUTTER = frozenset(("__MACOSX", "@eaDir"))  # what macOS puts into archives, and Synology beside photos


class Sides(NamedTuple):
    """The folder with the classes to train on and, where the data has one, that for validation."""

    train: Path
    val: Path | None


def read_folder(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images below `data`: a folder per class, or two sides with those, as `find_sides` finds them.

    Images in nested folders belong to their top class folder. Class names are the sorted folder names of the training
    side; a class only in validation is an error. Without folders for both sides, `split_by_digest` splits the images.
    Hidden files, CLUTTER and files that are no images are passed over. Damaged headers are listed in `skipped`.
    Raises DataError when nothing can be trained on, with what to do.
    """
    train, val = find_sides(data)
    class_names = tuple(folder.name for folder in class_folders(train))
    if len(class_names) < 2:
        found = f"only {class_names[0]!r}" if class_names else "none"
        raise DataError(
            f"expected at least two class folders in {train}, found {found}{instead_of_classes(train)}; "
            "make a folder per class"
        )
    side: Split | None = "train" if val else None
    files = [Found(path, name, side) for name in class_names for path in image_files(train / name)]
    empty = set(class_names) - {file.class_name for file in files}
    if empty:
        name = min(empty)
        raise DataError(f"class {name!r} has no images: {train / name}; add pictures or remove the folder")
    if val:
        check_validation_names((folder.name for folder in class_folders(val)), class_names, train, val)
        files += [Found(path, folder.name, "val") for folder in class_folders(val) for path in image_files(folder)]
    return make_dataset(files, class_names, val_fraction)


def folder_files(data: Path) -> list[Found]:
    """Return the images in the class folders of `data`, or of its validation folder if it has both sides."""
    train, val = find_sides(data)
    return [Found(path, folder.name, None) for folder in class_folders(val or train) for path in image_files(folder)]


def find_sides(data: Path) -> Sides:
    """Return `train/` beside one of VALIDATION_NAMES, or else `test/`, in any case; or `data` itself, without sides.

    What lies beside two sides is left out, with a note. Raises DataError for two folders that mean the same side, and
    where the folders hold no classes but data sets.
    """
    folders = class_folders(data)
    train, val, test = (
        [folder for folder in folders if folder.name.lower() in names]
        for names in (("train",), VALIDATION_NAMES, (TEST_NAME,))
    )
    val = val or test
    if train and val:
        for side in (train, val):
            if len(side) > 1:
                raise DataError(f"{side[0]} and {side[1]} mean the same side; expected one of them, move the other out")
        sides = Sides(train[0], val[0])
        left = [str(folder) for folder in folders if folder not in sides]
        if left:
            logger.info("validating on %s; left for evaluate --data: %s", val[0], ", ".join(left))
    else:
        sides = Sides(train[0] if train and len(folders) == 1 else data, None)
    _refuse_data_sets(sides.train)
    return sides


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, but hidden ones and CLUTTER."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))


def pictures_in(folder: Path) -> Iterator[Path]:
    """Yield the image files that lie in a folder directly, sorted, but hidden ones."""
    paths = sorted(path for path in folder.iterdir() if not is_clutter(path.name) and not path.is_dir())
    return filter(is_image, paths)


def instead_of_classes(folder: Path) -> str:
    """Return what a folder without two class folders has instead, for an error: ` (70 pictures directly in it)`."""
    folders = class_folders(folder)
    if len(folders) == 1 and len(class_folders(folders[0])) > 1 and not any(map(bool, pictures_in(folders[0]))):
        return f" (did you mean {folders[0]}?)"
    loose = len(list(pictures_in(folder)))
    return f" ({loose} picture{'' if loose == 1 else 's'} directly in it)" if loose else ""


def _refuse_data_sets(folder: Path) -> None:
    """Raise DataError where data sets or sides would become classes, warn where that may be so.

    The folders have no pictures of their own then, but all of them the same two folders or more: classes or sides.
    """
    folders = class_folders(folder)
    if len(folders) < 2 or any(any(map(bool, pictures_in(each))) for each in folders):
        return
    inner = set.intersection(*({path.name for path in class_folders(each)} for each in folders))
    if len(inner) < 2:
        return
    names = {each.name for each in folders}
    seen = f"{_few(names)} have no pictures of their own, but each has the folders {_few(inner)}"
    training = next((each for each in folders if each.name.lower().startswith("train")), None)
    advice = f"rename {training} to train and the other side to val" if training else f"give {folders[0]}"
    if any(name.lower().startswith(_LIKE_SIDES) for name in names | inner):
        raise DataError(
            f"{folder} holds data sets, not classes: {seen}; {advice}; "
            "if they are classes, name their pictures in a CSV"
        )
    logger.warning("%s: %s; if those are the classes, %s", folder, seen, advice)


def _few(names: Iterable[str]) -> str:
    """Return the first names for an error of one line, and how many more there are."""
    first, *others = map(repr, sorted(names))
    return ", ".join((first, *others[:2])) + (f" and {len(others) - 2} more" if len(others) > 2 else "")


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files among `files_below`."""
    return filter(is_image, files_below(folder))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder` that are no clutter, sorted: those of a folder before those of its folders.

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
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if not is_clutter(entry.name))
        except OSError as error:
            place = str(parent)[:200]  # of the nested folders that are too deep to open, 4,096 bytes
            raise DataError(f"{place} cannot be opened ({error.strerror}); mend that or leave it out") from None
        yield from (parent / name for name, is_folder in found if not is_folder)
        waiting += (parent / name for name, is_folder in reversed(found) if is_folder)


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is hidden or CLUTTER: nobody's picture and nobody's class."""
    return name.startswith(".") or name in CLUTTER


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
