"""From arguments, of a command line or in Python, to the images they mean, one by one: a million are never held."""

import glob
import logging
import os
import stat
import sys
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL.Image import Image as PilImage

from finetune.data.folder import CLUTTER, image_files, is_image
from finetune.data.idx import image_exists
from finetune.data.images import FaultyLine, ImageLike
from finetune.data.list_lines import LONGEST, text_lines
from finetune.data.lists import listed_path
from finetune.data.table_lines import is_table, line_name, table_lines
from finetune.data.urls import is_url
from finetune.errors import DataError, UsageError

Input = Path | str | FaultyLine  # a file, or `FILE#NUMBER` of an IDX file; or a URL, as text; or a line that is neither
Line = TypeVar("Line")

logger = logging.getLogger(__name__)

STDIN = "-"
LIST_EXTENSIONS = frozenset((".txt", ".lst", ".list"))
_WILDCARDS = frozenset("*?[")
_CHUNK = 1 << 16  # bytes


def expand(arguments: Iterable[str], null: bool = False) -> Iterator[Input]:
    """Return an iterator over the images that the arguments mean, in order; each is found only when it is needed.

    An argument is a file, a URL, a folder (all images below it, sorted), a glob pattern (`**` for any folders except
    CLUTTER; the images among its matches, sorted), `@FILE` (a name per line), a CSV or Parquet file with a column
    path, or `-`: names on stdin, one per line, or ended by NUL with `null`. A text file whose first line names an image
    is a list without the @. A name in a list is a file or URL, found as `listed_path` does, and a label may follow it.
    A name that exists is never taken for a pattern, nor an image or a folder for `@FILE`.

    An argument without images, such as an empty folder or a list that cannot be read, is yielded itself, as a missing
    file is, with a warning; a damaged line of a list is a `FaultyLine`. Raises DataError if there is no other argument
    or line, and UsageError for arguments that contradict each other.
    """
    arguments = list(arguments)
    if arguments.count(STDIN) > 1:
        raise UsageError("- is given twice, but stdin can be read only once")
    if null and STDIN not in arguments:
        raise UsageError("-0 applies to names on stdin; it needs - among the inputs")
    faults = _faults(arguments)
    if faults and len(faults) == len(arguments):
        raise DataError(next(iter(faults.values())))
    for fault in faults.values():
        logger.warning("%s", fault)
    return _images_or_names(arguments, faults, null)


def expected_inputs(arguments: Iterable[str]) -> Iterator[Input]:
    """Yield the images that `expand` will yield, without its warnings; none of the arguments may be `-`."""
    arguments = list(arguments)
    return _images_or_names(arguments, _faults(arguments))


def _faults(arguments: Iterable[str]) -> dict[str, str]:
    """Return argument -> why it yields no images, and what to do, for each that yields none."""
    faults = {}
    for argument in arguments:
        try:
            reason = "" if argument == STDIN else _why_unusable(argument)
        except DataError as error:
            reason = str(error)
        if reason:
            faults[argument] = reason
    return faults


def _why_unusable(argument: str) -> str:
    """Return why an argument yields no images, that of its first line if all are faulty; "" if it yields one."""
    reason = ""
    for found in _expand(argument):
        if not isinstance(found, FaultyLine):
            return ""
        reason = reason or f"{found.place}: {found.reason}"
    return reason or f"{argument} {_why_empty(argument)}"


def _images_or_names(arguments: Collection[str], faults: Container[str], null: bool = False) -> Iterator[Input]:
    """Yield the images that the arguments mean; those with a fault as they are, as missing files."""
    for argument in arguments:
        if argument in faults:
            yield Path(argument)
        elif argument == STDIN and len(arguments) > 1:
            try:
                yield from _expand(argument, null)
            except DataError as error:
                logger.warning("%s", error)
                yield Path(argument)
        else:
            yield from _expand(argument, null)


def each_image(images: ImageLike | Iterable[ImageLike], folders: bool = True) -> Iterator[ImageLike]:
    """Yield an image, or each of several; with `folders`, in place of a folder the images below it, sorted.

    An array of four dimensions is several images. A folder without images is yielded itself, as an image that cannot be
    read, with a warning. Raises DataError if it is the only one, UsageError for what is not an image.
    """
    alone = False
    if isinstance(images, str | Path | PilImage) or (isinstance(images, np.ndarray) and images.ndim < 4):
        images, alone = [images], True
    elif not isinstance(images, Iterable):
        raise _not_an_image(images)
    for image in images:
        if not isinstance(image, str | Path | PilImage | np.ndarray | FaultyLine):
            raise _not_an_image(image)
        if folders and isinstance(image, str | Path) and os.path.isdir(image):  # noqa: PTH112
            if next(image_files(Path(image)), None) is None:
                fault = f"{image} {_why_empty(str(image))}"
                if alone:
                    raise DataError(fault)
                logger.warning("%s", fault)
                yield image
            yield from image_files(Path(image))
        else:
            yield image


def _not_an_image(value: object) -> UsageError:
    return UsageError(f"expected paths, URLs, arrays or PIL images, got {type(value).__name__}; pass one or several")


def _expand(argument: str, null: bool = False) -> Iterator[Input]:
    """Yield the images that one argument means."""
    path = Path(argument)
    exists = os.path.lexists(argument)
    if argument == STDIN:
        yield from _to_its_end(argument, _names_on_stdin(null))
    elif is_url(argument):
        yield argument
    elif os.path.isdir(argument):  # noqa: PTH112 (never raises, unlike Path.is_dir)
        yield from image_files(path)
    elif exists and is_image(path):
        yield path
    elif argument.startswith("@"):
        yield from _to_its_end(argument, _names_in_list(Path(argument[1:])))
    elif is_table(path):
        yield from _to_its_end(argument, _names_in_table(path))
    elif exists and _is_list(path):
        yield from _to_its_end(argument, _names_in_list(path))
    elif _WILDCARDS & set(argument) and not exists:
        matches = glob.iglob(argument, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        ignored = CLUTTER - set(path.parts)  # clutter that the pattern itself names is wanted
        found = (match for match in map(Path, sorted(matches)) if ignored.isdisjoint(match.parts))
        yield from (match for match in found if match.is_file() and is_image(match))
    else:
        yield path


def _to_its_end(argument: str, names: Iterator[Input]) -> Iterator[Input]:
    """Yield the names in a list; what ends it early is its last line, unless that is the first."""
    count = 0
    try:
        for name in names:
            yield name
            count += 1
    except DataError as error:
        if not count:
            raise
        yield FaultyLine(argument, f"{error} (what follows in it is not read)")


def _why_empty(argument: str) -> str:
    """Return why an argument yields no images, and what to do."""
    if argument.startswith("@") or is_table(Path(argument)):
        return "lists no images; write one per line"
    if os.path.isdir(argument):  # noqa: PTH112
        return "contains no images; pass a folder of images"
    return "matches no images; check the pattern, or quote it so that the shell does not expand it"


def _names_on_stdin(null: bool) -> Iterator[Input]:
    count = 0
    for name in _split_names(sys.stdin.buffer, b"\0" if null else b"\n"):
        count += 1
        yield _input(name, "stdin", count)
    if not count:
        raise DataError("expected names of images on stdin, but it was empty; pipe a list into the command")


def _is_list(path: Path) -> bool:
    """Return whether a file is a list though no @ says so: a text whose first line names an image."""
    if path.suffix.lower() not in LIST_EXTENSIONS:
        return False
    try:
        first = next(_names_in_list(path), None)
    except DataError:
        return False
    return isinstance(first, str) or (isinstance(first, Path) and image_exists(first))


def _names_in_list(path: Path) -> Iterator[Input]:
    number = 0
    for line in _opened(text_lines, path, f"the list {path}"):
        if name := line.removesuffix("\n"):
            number += 1
            yield _input(name, path, number, path.parent)


def _names_in_table(path: Path) -> Iterator[Input]:
    for line in _opened(partial(table_lines, needed=("path",)), path, str(path)):
        if line.fault:
            yield FaultyLine(line_name(path, line.number), line.fault)
        else:
            yield _input(line.cells["path"], path, line.number, path.parent)


def _opened(read: Callable[[Path], Iterable[Line]], path: Path, name: str) -> Iterator[Line]:
    """Yield what `read` yields of a list; raise DataError, which calls it `name`, if it cannot be opened."""
    try:
        _refuse_pipe(path)
        yield from read(path)
    except OSError as error:
        raise DataError(f"{name} cannot be opened ({error.strerror}); check its name") from None


def _refuse_pipe(path: Path) -> None:
    """Raise DataError for a list that can be read only once, since `expand` reads its beginning to check it."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"the list {path} is a pipe or device, expected a file; pass - and pipe the names into the command"
        )


def _split_names(file: BinaryIO, end: bytes) -> Iterator[str]:
    """Yield the names in a file, each ended by `end`, except empty ones; bytes that are not UTF-8 are kept."""
    rest = b""
    while chunk := file.read1(_CHUNK):  # type: ignore[attr-defined]
        *names, rest = (rest + chunk).split(end)
        if len(rest) > LONGEST:
            raise DataError(f"expected a list of names, found one of over {LONGEST:,} bytes; is this a list?")
        yield from _decode_names(names, end)
    yield from _decode_names([rest], end)


def _decode_names(names: list[bytes], end: bytes) -> Iterator[str]:
    for name in names:
        if end == b"\n":
            name = name.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")  # byte order mark; CRLF
        if name:
            yield name.decode("utf-8", "surrogateescape")


def _input(name: str, where: object, number: int, folder: Path | None = None) -> Input:
    """Return the image that name `number` of a list means; `folder` is the list's, None for stdin."""
    if "\0" in name:
        reason = "expected one name per line, found a NUL; pipe names ended by NUL into - with -0"
        return FaultyLine(f"{where}, name {number}", reason)
    if is_url(name):
        return name
    if folder is None:
        return Path(name)
    path = listed_path(folder, name)
    if not image_exists(path):
        for words in (name.rsplit(maxsplit=1), name.rsplit(",", 1)):  # `path label`, as in a list to train on
            unlabelled = listed_path(folder, words[0].rstrip(" ,"))
            if len(words) == 2 and image_exists(unlabelled):
                return unlabelled
    return path
