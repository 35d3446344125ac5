"""The folder that a page teaches from: a folder of images per class, which anyone may also edit by hand.

What the page adds is a JPEG named after its digest, so that the same image added twice is one file. A file appears,
moves or goes as a whole; what the page deletes moves to DELETED, from where it can be moved back by hand.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from finetune.data.class_name import checked_names, class_name, is_valid_text, valid_text
from finetune.data.folder import class_folders, find_split_folders, image_files, is_clutter, is_image
from finetune.data.mnist import is_mnist
from finetune.data.split import SPLIT_NAMES, to_check
from finetune.data.upright_jpeg import upright_jpeg
from finetune.errors import DataError, RunError, UsageError
from finetune.serving.loaded_model import header_of
from finetune.system.atomic import replacing
from finetune.system.digest import sha256

DELETED = ".deleted"  # hidden, so that neither training nor `check` reads it
LONGEST_NAME = 60  # characters, of up to 4 bytes each: a file system takes 255 bytes
_LOCK = ".teach.lock"
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')  # the last ones on Windows, where a zip may be opened


class NotInFolderError(DataError):
    """The folder has no such class or image: it was never there, or somebody deleted, renamed or moved it."""


class TeachingFolder:
    """A folder of classes; every method may be called from several threads at once.

    An image is named by its path in the folder, `CLASS/FILE.jpg`. Raises NotInFolderError for a class or an image that
    is not there, OSError when the disk refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.in_training = False  # then its images stay where they are: nothing is deleted, renamed or moved
        self.changes = 0  # made through this object, so that what was counted before one is known to be old
        self._lock = Lock()

    def classes(self) -> dict[str, int]:
        """Return class -> how many images it has, sorted by name."""
        found: dict[str, int] = {}
        for folder in class_folders(self.path):
            name = class_name(folder.name)
            found[name] = found.get(name, 0) + sum(1 for _ in image_files(folder))
        return dict(sorted(found.items()))

    def versions(self) -> dict[str, str]:
        """Return class -> a text that changes when an image of it comes or goes."""
        found: dict[str, str] = {}
        for folder in class_folders(self.path):
            name = class_name(folder.name)
            found[name] = f"{found.get(name, '')}{_written(folder)}"
        return found

    def newest(self, name: str, most: int) -> list[str]:
        """Return the images of a class, at most so many, the newest first."""
        paths = [path for folder in self._folders(name) for path in image_files(folder)]
        named = [path for path in paths if is_valid_text(path.name)]  # a client cannot ask for others
        return [self._name(path) for path in sorted(named, key=_written, reverse=True)[:most]]

    def images(self) -> Iterator[tuple[str, Path]]:
        """Yield the name and the path of every image, class by class."""
        for folder in class_folders(self.path):
            yield from ((self._name(path), path) for path in image_files(folder))

    def image(self, image: str) -> Path:
        """Return the path of an image."""
        parts = image.split("/")
        clean = len(parts) > 1 and all(part and not {"\\", "\0"} & set(part) and not is_clutter(part) for part in parts)
        if clean and parts[0] in (folder.name for folder in class_folders(self.path)):
            path = self.path.joinpath(*parts)
            with suppress(OSError):  # a name that is too long
                if path.is_file() and is_image(path):
                    return path
        raise NotInFolderError(f"there is no image {image!r} here; it may have been deleted or moved; reload the page")

    def add_class(self, text: str) -> str:
        """Make a folder for a new class and return its name; UsageError for one that cannot be used."""
        with self._change():
            name = self._new_name(text)
            (self.path / name).mkdir()
        return name

    def rename_class(self, old: str, text: str) -> str:
        """Rename the folder of a class and return the new name; UsageError as for `add_class`."""
        with self._change():
            self._refuse_in_training("renamed")
            folder, *others = self._folders(old)
            name = self._new_name(text, renamed=old)
            for other in others:  # of the same class, written in another way
                self._move_all(other, folder)
                other.rmdir()
            folder.rename(self.path / name)
        return name

    def delete_class(self, name: str) -> None:
        """Move the folder of a class to DELETED."""
        with self._change():
            self._refuse_in_training("deleted")
            for folder in self._folders(name):
                (self.path / DELETED).mkdir(exist_ok=True)
                folder.rename(_free(self.path / DELETED / folder.name))

    def add(self, name: str, data: bytes) -> tuple[str, bool]:
        """Add an image to a class, as `upright_jpeg`; return its name, and whether it is new.

        Raises ImageError if it cannot be read, is damaged or too large, DataError if another class has it.
        """
        self._folders(name)  # before the work
        if known := self._known(name, sha256(data)):  # a file that was downloaded from here
            return known, False
        jpeg = upright_jpeg(data, header_of(data))
        digest = sha256(jpeg)
        with self._change():
            folder = self._folders(name)[0]
            if known := self._known(name, digest):
                return known, False
            path = folder / _file_name(digest)
            with replacing(path) as temporary:
                temporary.write_bytes(jpeg)
        return self._name(path), True

    def relabel(self, image: str, name: str) -> str:
        """Move an image to another class and return its new name."""
        with self._change():
            self._refuse_in_training("moved")
            path, folder = self.image(image), self._folders(name)[0]
            if class_name(image.split("/")[0]) == name:
                return image
            moved = _free(folder / path.name)
            path.rename(moved)
        return self._name(moved)

    def delete(self, image: str) -> None:
        """Move an image to DELETED."""
        with self._change():
            self._refuse_in_training("deleted")
            path = self.image(image)
            kept = self.path / DELETED / image
            kept.parent.mkdir(parents=True, exist_ok=True)
            path.rename(_free(kept))

    def hold_for_training(self, held: bool) -> None:
        """Begin or end to refuse what would take an image away from a training that reads it; adding stays possible."""
        with self._change():
            self.in_training = held

    @contextmanager
    def _change(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            finally:
                self.changes += 1

    def _folders(self, name: str) -> list[Path]:
        """Return the folders of a class: one, unless its name is written in several ways."""
        found = [folder for folder in class_folders(self.path) if class_name(folder.name) == name]
        if not found:
            raise NotInFolderError(f"there is no class {name!r} here; it may have been renamed; reload the page")
        return found

    def _new_name(self, text: str, renamed: str = "") -> str:
        """Return the name of a new class, or of one that is `renamed`."""
        try:
            (name,) = checked_names("the page", [text]).values()
        except DataError:
            raise UsageError("a class needs a name of one line; enter one") from None
        if len(name) > LONGEST_NAME:
            raise UsageError(f"the name has {len(name)} characters; expected at most {LONGEST_NAME}; shorten it")
        if found := _FORBIDDEN.search(name):
            raise UsageError(f"{name!r} has the character {found[0]!r}, which a folder's name cannot have; remove it")
        if is_clutter(name) or name.endswith("."):
            raise UsageError(f"{name!r} is the name of a hidden folder, or ends with a dot; choose another")
        if name.lower() in SPLIT_NAMES:
            raise UsageError(f"{name!r} is the name of a split of the data, not of a class; choose another")
        for known in {class_name(folder.name) for folder in class_folders(self.path)}:
            if known.casefold() == name.casefold() and known != renamed:
                raise UsageError(f"there is a class {known!r} already; choose another name")
        return name

    def _known(self, name: str, digest: str) -> str | None:
        """Return the image of a class with this digest; DataError if another class has it."""
        for folder in class_folders(self.path):
            path = folder / _file_name(digest)
            if path.exists():
                if class_name(folder.name) == name:
                    return self._name(path)
                raise DataError(f"the image is in class {class_name(folder.name)!r} already; move it from there")
        return None

    def _refuse_in_training(self, what: str) -> None:
        if self.in_training:
            raise DataError(f"nothing can be {what} while a training reads the images; wait until it is done")

    def _move_all(self, source: Path, target: Path) -> None:
        for path in source.iterdir():
            path.rename(_free(target / path.name))

    def _name(self, path: Path) -> str:
        return valid_text(path.relative_to(self.path).as_posix())


@contextmanager
def held_folder(path: Path) -> Iterator[TeachingFolder]:
    """Make `path` if necessary, remove what a killed process left half-written, and hold it for this process.

    Raises UsageError for a file, DataError for data that is not a folder per class, RunError when another process holds
    it, OSError when it cannot be written.
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"expected a folder with a folder of images per class, but {path} is a file; name a folder")
    path.mkdir(parents=True, exist_ok=True)
    if is_mnist(path) or find_split_folders(path, to_check)[0] != (path, None):
        raise DataError(
            f"expected a folder of images per class, but {path} holds splits or lists of images, which the page cannot "
            "change; name another folder"
        )
    lock = FileLock(path / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(f"another finetune teach has {path} open; use its page, or name another folder") from None
    try:
        for folder in class_folders(path):
            for part in folder.glob(".*.part"):
                part.unlink()
        yield TeachingFolder(path)
    finally:
        (path / _LOCK).unlink(missing_ok=True)
        lock.release()


def _file_name(digest: str) -> str:
    return f"{digest[:32]}.jpg"  # 128 bits, as many as tell any two images apart


def _free(path: Path) -> Path:
    """Return `path`, or the first of `NAME-2`, `NAME-3` … that does not exist."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _written(path: Path) -> int:
    with suppress(OSError):  # deleted since it was listed
        return path.stat().st_mtime_ns
    return 0
