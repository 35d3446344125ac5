"""From a folder of images to records: a folder per class, with or without folders for splits.

Also the walk through folders that everything else uses: which files are images, hidden files, clutter, links and loops.
"""

import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, LabelledFile, check_validation_names, make_dataset
from finetune.data.image_kinds import HEAD_BYTES, IMAGE_EXTENSIONS, image_format
from finetune.data.split import SPLIT_PREFIXES, ChooseSplits, split_folders, to_train_on
from finetune.errors import DataError
from finetune.system.text import first_few

logger = logging.getLogger(__name__)

CLUTTER = frozenset(("__MACOSX", "@eaDir"))  # folders that macOS adds to archives, and Synology to photo folders


def read_folder(data: Path, val_fraction: float = 0.2, group_by: str | None = None) -> Dataset:
    """Return the images below `data` to train on: a folder per class, or splits of such folders (`split_folders`).

    Images in nested folders belong to the topmost class folder. The class names are the sorted folder names of the
    training split; a class that only validates is an error. Without a folder that validates, `split_by_digest` decides.
    Hidden files, CLUTTER and files that are not images are ignored. Images whose header is damaged are listed in
    `skipped`. Raises DataError, with what to do, if the data cannot be trained on.
    """
    folders = find_split_folders(data, to_train_on)
    (train, _), *validation = folders
    class_names = tuple(folder.name for folder in class_folders(train))
    if len(class_names) < 2:
        found = f"only {class_names[0]!r}" if class_names else "none"
        raise DataError(
            f"expected at least two class folders in {train}, found {found}{missing_classes_hint(train)}; "
            "make a folder per class"
        )
    files = _labelled(folders)
    empty = set(class_names) - {file.class_name for file in files if file.split != "val"}
    if empty:
        name = min(empty)
        raise DataError(f"class {name!r} has no images: {train / name}; add images or remove the folder")
    for val, _ in validation:
        check_validation_names((folder.name for folder in class_folders(val)), class_names, train, val)
    return make_dataset(files, class_names, val_fraction, group_by)


def folder_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the images in the class folders of the chosen splits."""
    return _labelled(find_split_folders(data, choose))


def _labelled(folders: Iterable[tuple[Path, SplitName | None]]) -> list[LabelledFile]:
    return [
        LabelledFile(path, each.name, split)
        for folder, split in folders
        for each in class_folders(folder)
        for path in image_files(each)
    ]


def find_split_folders(data: Path, choose: ChooseSplits) -> list[tuple[Path, SplitName | None]]:
    """Return the folders of the chosen splits, as `split_folders`, each with the split that its images are in.

    Raises DataError for two folders of the same split, and if the folders are data sets rather than classes.
    """
    folders = split_folders(data, class_folders(data))
    chosen = [(folders[split], used_as) for split, used_as in choose(data, folders).items()]
    _refuse_data_sets(chosen[0][0])
    return chosen


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, except hidden ones and CLUTTER."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))


def images_in(folder: Path) -> Iterator[Path]:
    """Yield the image files directly in a folder, sorted, except hidden ones."""
    paths = sorted(path for path in folder.iterdir() if not is_clutter(path.name) and not path.is_dir())
    return filter(is_image, paths)


def missing_classes_hint(folder: Path) -> str:
    """Return what a folder has in place of class folders, for an error: ` (70 images directly in it)`, or ""."""
    folders = class_folders(folder)
    if len(folders) == 1 and len(class_folders(folders[0])) > 1 and not _has_images(folders[0]):
        return f" (did you mean {folders[0]}?)"
    loose = len(list(images_in(folder)))
    return f" ({loose} image{'' if loose == 1 else 's'} directly in it)" if loose else ""


def _has_images(folder: Path) -> bool:
    return next(images_in(folder), None) is not None


def _refuse_data_sets(folder: Path) -> None:
    """Raise DataError if the folders in `folder` are data sets or splits and not classes; warn if they may be.

    Such folders have no images of their own, but all of them contain the same two or more folders.
    """
    folders = class_folders(folder)
    if len(folders) < 2 or any(map(_has_images, folders)):
        return
    inner = set.intersection(*({path.name for path in class_folders(each)} for each in folders))
    if len(inner) < 2:
        return
    names = {each.name for each in folders}
    found = f"{_quoted(names)} have no images of their own, but each has the folders {_quoted(inner)}"
    training = next((each for each in folders if each.name.lower().startswith("train")), None)
    advice = f"rename {training} to train and the other split to val" if training else f"pass {folders[0]}"
    if any(name.lower().startswith(SPLIT_PREFIXES) for name in names | inner):
        raise DataError(
            f"{folder} holds data sets, not classes: {found}; {advice}; if they are classes, list their images in a CSV"
        )
    logger.warning("%s: %s; if those are the classes, %s", folder, found, advice)


def _quoted(names: set[str]) -> str:
    return first_few([repr(name) for name in sorted(names)], most=3)


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files among `files_below`."""
    return filter(is_image, files_below(folder))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below `folder`, sorted: first those of a folder, then those of its folders; no clutter.

    Links are followed, but no folder is entered twice, and none that contains `folder`, so that loops of links end.
    Raises DataError for a folder that cannot be opened: its images would be missing silently.
    """
    entered = {_identity(parent) for parent in folder.resolve().parents}
    waiting = [folder]  # not os.walk, which recurses and so fails at a thousand nested folders
    while waiting:
        parent = waiting.pop()
        try:
            if _identity(parent) in entered:
                continue
            entered.add(_identity(parent))
            with os.scandir(parent) as entries:
                found = sorted((entry.name, _is_folder(entry)) for entry in entries if not is_clutter(entry.name))
        except OSError as error:
            place = str(parent)[:200]  # a path that is too deep to open has over 4,096 bytes
            raise DataError(f"{place} cannot be opened ({error.strerror}); fix that or move it elsewhere") from None
        yield from (parent / name for name, is_folder in found if not is_folder)
        waiting += (parent / name for name, is_folder in reversed(found) if is_folder)


def is_clutter(name: str) -> bool:
    """Return whether a file or folder is hidden or CLUTTER, and so neither an image nor a class."""
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
    """Return whether a file should be an image, by its extension or by its first bytes; never for pipes and devices."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (path.is_file raises for a name that is too long)
            return False
    except OSError:  # a broken link
        return path.suffix.lower() in IMAGE_EXTENSIONS
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        return True
    try:
        with path.open("rb") as file:
            return image_format(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False
