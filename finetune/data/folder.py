"""From a folder of pictures to records: which file, which class, training or validation."""

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from finetune.data.decode import image_format, read_bytes, read_header
from finetune.data.parallel import parallel_map
from finetune.errors import DataError, ImageError, did_you_mean
from finetune.progress import track

logger = logging.getLogger(__name__)

Split = Literal["train", "val"]

VALIDATION_FOLDERS = ("val", "valid", "test")  # the first that stands beside train/ is taken
IMAGE_EXTENSIONS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff")
)


class Record(NamedTuple):
    """One readable image: its path, the index of its class, its side of the split and the SHA-256 of its bytes."""

    path: Path
    label: int
    split: Split
    digest: str


class Found(NamedTuple):
    """One file that means to be an image; its side is None where the split is still to be made."""

    path: Path
    label: int
    side: Split | None


class Skipped(NamedTuple):
    """One image that was left out, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Dataset:
    """All records in a fixed order, the class names by label, and what was left out."""

    records: tuple[Record, ...]
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()

    def without(self, unreadable: dict[Path, str]) -> "Dataset":
        """Return the dataset less the images that turned out unreadable; raise DataError when a class is left empty."""
        records = tuple(record for record in self.records if record.path not in unreadable)
        skipped = (*self.skipped, *(Skipped(path, reason) for path, reason in unreadable.items()))
        dataset = Dataset(records, self.class_names, skipped)
        dataset.check()
        return dataset

    def check(self) -> None:
        """Raise DataError unless each class has an image to train on and there are some for validation."""
        hint = (
            f"; {len(self.skipped)} were skipped, the first: {self.skipped[0].path}: {self.skipped[0].reason}"
            if self.skipped
            else ""
        )
        if not self.records:
            raise DataError(f"no readable image was found{hint}")
        trained = {record.label for record in self.records if record.split == "train"}
        empty = [name for label, name in enumerate(self.class_names) if label not in trained]
        if empty:
            raise DataError(
                f"no readable image to train on for class {', '.join(map(repr, empty))}; "
                f"add pictures or remove the folder{hint}"
            )
        if not any(record.split == "val" for record in self.records):
            raise DataError(
                "no image is left for validation; add pictures (two a class at least) or a val/ folder" + hint
            )


def read_folder(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images below `data`: a folder per class, or `train/` beside `val/`, `valid/` or `test/` with those.

    Images in nested folders belong to their top class folder. Class names are the sorted folder names of the training
    side; a class only in validation is an error. Without folders for both sides, `split_side` shares the images out.
    Hidden files and files that are no images are passed over. Damaged headers are listed in `skipped`.
    Raises DataError when nothing can be trained on, with what to do.
    """
    if not data.is_dir():
        raise DataError(
            f"expected a folder of pictures, but {data} " + ("is a file" if data.exists() else "does not exist")
        )
    train, val = _sides(data)
    class_names = tuple(folder.name for folder in _folders(train))
    if len(class_names) < 2:
        found = f"only {class_names[0]!r}" if class_names else "none"
        raise DataError(f"expected at least two class folders in {train}, found {found}; make a folder per class")
    side: Split | None = "train" if val else None
    files = [Found(path, label, side) for label, name in enumerate(class_names) for path in image_files(train / name)]
    empty = set(class_names) - {class_names[file.label] for file in files}
    if empty:
        name = min(empty)
        raise DataError(f"class {name!r} has no images: {train / name}; add pictures or remove the folder")
    for folder in _folders(val) if val else []:
        if folder.name not in class_names:
            raise DataError(
                f"class {folder.name!r} is in {val} but not in {train}{did_you_mean(folder.name, class_names)}; "
                "every class needs pictures to train on"
            )
        files += [Found(path, class_names.index(folder.name), "val") for path in image_files(folder)]
    return _dataset(files, class_names, val_fraction)


def image_files(folder: Path) -> Iterator[Path]:
    """Yield the image files below `folder`, sorted; hidden ones and files that are no images are passed over.

    Links are followed, but no folder is entered twice, nor one that holds `folder`, so that loops end.
    """
    seen = {_identity(parent) for parent in folder.resolve().parents}
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if _identity(Path(parent)) in seen:
            folders.clear()
            continue
        seen.add(_identity(Path(parent)))
        for name in sorted(files):
            path = Path(parent, name)
            if not name.startswith(".") and _is_image(path):
                yield path


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_image(path: Path) -> bool:
    """Tell whether a file means to be an image: by its extension, or by its first bytes."""
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
    present = [data / name for name in VALIDATION_FOLDERS if (data / name).is_dir()]
    if not present:
        return (data / "train" if _folders(data) == [data / "train"] else data), None
    if len(present) > 1:
        logger.warning("validating on %s; %s is not used", present[0], ", ".join(map(str, present[1:])))
    return data / "train", present[0]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _dataset(files: list[Found], class_names: tuple[str, ...], val_fraction: float) -> Dataset:
    """Hash every file, look at its header, and give it its side."""
    digests = track(parallel_map(_digest, (file.path for file in files)), len(files), "reading", "files")
    hashed: list[tuple[Found, str]] = []
    skipped: list[Skipped] = []
    for file, result in zip(files, digests, strict=True):
        if isinstance(result, ImageError):
            skipped.append(Skipped(file.path, str(result)))
        else:
            hashed.append((file, result))
    sides = split_sides([(file.label, digest) for file, digest in hashed if file.side is None], val_fraction)
    records = tuple(Record(file.path, file.label, file.side or sides[digest], digest) for file, digest in hashed)
    dataset = Dataset(records, class_names, tuple(skipped))
    dataset.check()
    return dataset


def _digest(path: Path) -> str | ImageError:
    """Return the SHA-256 of a file whose header shows an image, or why it does not."""
    try:
        data = read_bytes(path)
        read_header(data)
    except ImageError as error:
        return error
    return hashlib.sha256(data).hexdigest()


def split_sides(labelled: list[tuple[int, str]], val_fraction: float) -> dict[str, Split]:
    """Return digest -> side: within each class the first `val_fraction` of the images by digest is validation.

    So the split depends on the bytes alone: it hardly moves when images are added, keeps the share in every class,
    and byte-identical files, of one class or of two, are never on both sides. A class keeps at least one image to
    train on and, when it has two different ones, gives at least one to validation, unless all of its images are in an
    earlier class too.
    """
    by_label: dict[int, set[str]] = {}
    for label, digest in labelled:
        by_label.setdefault(label, set()).add(digest)
    sides: dict[str, Split] = {}
    for _, digests in sorted(by_label.items()):
        share = min(max(round(len(digests) * val_fraction), 1), len(digests) - 1)
        share -= sum(sides.get(digest) == "val" for digest in digests)  # taken along with an earlier class
        for rank, digest in enumerate(sorted(digests - sides.keys())):
            sides[digest] = "val" if rank < share else "train"
    return sides
