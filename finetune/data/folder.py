"""From a folder of images to records: a folder per class, with or without folders for splits.

Also the walk through folders that everything else uses: which files are images, hidden files, clutter, links and loops.
"""

import logging
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from finetune.choices import SplitName
from finetune.data.class_name import checked_names, class_name
from finetune.data.dataset import Dataset, LabelledFile, make_listed_dataset
from finetune.data.image_kinds import HEAD_BYTES, IMAGE_EXTENSIONS, image_format
from finetune.data.split import SPLIT_PREFIXES, ChooseSplits, split_folders, to_train_on
from finetune.errors import DataError
from finetune.system.text import first_few, image_count

logger = logging.getLogger(__name__)

CLUTTER = frozenset(("__MACOSX", "@eaDir"))  # folders that macOS adds to archives, and Synology to photo folders


def read_folder(data: Path, val_fraction: float = 0.2, group_by: str | None = None, cache: bool = True) -> Dataset:
    """Return the images below `data` to train on: a folder per class, or splits of such folders (`split_folders`).

    Images in nested folders belong to the topmost class folder. The classes are called like the folders of the training
    split; a class that only validates is an error. Without a folder that validates, `split_by_digest` decides.
    Hidden files, CLUTTER and files that are not images are ignored. Images whose header is damaged are listed in
    `skipped`, others that are not used are counted in the log. Raises DataError, with what to do, if the data cannot be
    trained on.
    """
    folders = find_split_folders(data, to_train_on)
    (train, _), *validation = folders
    class_names = {class_name(folder.name): folder for folder in class_folders(train)}
    if len(class_names) < 2:
        found = f"only {next(iter(class_names))!r}" if class_names else "none"
        raise DataError(
            f"expected at least two class folders in {train}, found {found}{missing_classes_hint(train)}; "
            "make a folder per class"
        )
    files = _labelled(data, folders)
    trained = {file.class_name for file in files if file.split != "val"}
    for name, folder in class_names.items():
        if name not in trained:
            raise DataError(f"class {name!r} has no images: {folder}; add images or remove the folder")
    _log_unused(data, [folder for folder, _ in folders])
    return make_listed_dataset(files, train, validation[0][0] if validation else train, val_fraction, group_by, cache)


def _log_unused(data: Path, used: Sequence[Path]) -> None:
    """Log how many images are outside the class folders of the splits: directly in a folder, and in other folders."""
    splits = [] if data in used else list(split_folders(data, class_folders(data)).values())
    for folder in (data, *splits):
        if count := sum(1 for _ in images_in(folder)):
            logger.info("not used, because they are not in a class folder: %s in %s", image_count(count), folder)
    for folder in class_folders(data) if splits else ():
        if folder not in splits and (count := sum(1 for _ in image_files(folder))):
            logger.info(
                "not used, because the folder is not a split (pass it to evaluate --data): %s in %s",
                image_count(count),
                folder,
            )


def folder_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the images in the class folders of the chosen splits."""
    return _labelled(data, find_split_folders(data, choose))


def _labelled(data: Path, splits: Iterable[tuple[Path, SplitName | None]]) -> list[LabelledFile]:
    folders = [(folder, split) for parent, split in splits for folder in class_folders(parent)]
    names = checked_names(data, (folder.name for folder, _ in folders))
    return [LabelledFile(path, names[folder.name], split) for folder, split in folders for path in image_files(folder)]


def find_split_folders(data: Path, choose: ChooseSplits) -> list[tuple[Path, SplitName | None]]:
    """Return the folders of the chosen splits, as `split_folders`, each with the split that its images are in.

    Raises DataError for two folders of the same split, and if the folders are data sets rather than classes.
    """
    folders = split_folders(data, class_folders(data))
    found = {split: _images_of_classes(folder) for split, folder in folders.items()}
    chosen = [(folders[split], used_as) for split, used_as in choose(data, found).items()]
    _refuse_data_sets(chosen[0][0])
    return chosen


def _images_of_classes(folder: Path) -> Iterator[Path]:
    return (path for each in class_folders(folder) for path in image_files(each))


def class_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, sorted, except hidden ones, CLUTTER and links to the folder or one above it."""
    above = {_identity(each) for each in (folder, *folder.resolve().parents)}
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not is_clutter(path.name))
    return [path for path in found if _identity(path) not in above]


def images_in(folder: Path) -> Iterator[Path]:
    """Yield the image files directly in a folder, sorted, except hidden ones."""
    paths = sorted(path for path in folder.iterdir() if not is_clutter(path.name) and not path.is_dir())
    return filter(is_image, paths)


def missing_classes_hint(folder: Path) -> str:
    """Return what a folder has in place of class folders, for an error: ` (70 images directly in it)`, or ""."""
    folders = class_folders(folder)
    if len(folders) == 1 and len(class_folders(folders[0])) > 1 and not _has_images(folders[0]):
        return f" (did you mean {folders[0]}?)"
    loose = sum(1 for _ in images_in(folder))
    return f" ({image_count(loose)} directly in it)" if loose else ""


def _has_images(folder: Path) -> bool:
    return next(images_in(folder), None) is not None


def _refuse_data_sets(folder: Path) -> None:
    """Raise DataError if the folders in `folder` are data sets or splits and not classes; warn if they may be.

    Such folders have no images of their own, but all of them contain the same two or more folders; or one of them does,
    such as `train`, and another one is called like a split, such as Kaggle's `test1`.
    """
    folders = class_folders(folder)
    nested = [each for each in folders if len(class_folders(each)) > 1 and not _has_images(each)]
    if len(folders) < 2 or not nested:
        return
    inner = set.intersection(*({path.name for path in class_folders(each)} for each in nested))
    splits = [each for each in folders if each.name.lower().startswith(SPLIT_PREFIXES)]
    if (len(nested) < len(folders) or len(inner) < 2) and (len(splits) < 2 or not set(nested) & set(splits)):
        return
    names = {each.name for each in nested}
    found = f"no images, but the folders {_quoted(inner)}, are in {_quoted(names)}"
    training = next((each for each in folders if each.name.lower().startswith("train")), None)
    advice = f"rename {training} to train and the other split to val or test" if training else f"pass {folders[0]}"
    if splits or any(name.lower().startswith(SPLIT_PREFIXES) for name in inner):
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
