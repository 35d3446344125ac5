"""From what stands on the command line to the pictures it means, one by one: a million names are never held."""

import csv
import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from finetune.data.folder import CLUTTER, image_files, is_image
from finetune.data.idx import idx_place
from finetune.data.urls import is_url
from finetune.errors import DataError, UsageError
from finetune.system.csv_cells import original

Input = Path | str  # a file, or `FILE#NUMBER` of an IDX file, or, as text, a URL

STDIN = "-"
_GLOB = frozenset("*?[")
_CHUNK = 1 << 16  # bytes
_LONGEST = 1 << 16  # bytes of a name


def expand(arguments: Iterable[str], null: bool = False) -> Iterator[Input]:
    """Return an iterator over the pictures that the arguments mean, in order, each read only when its turn comes.

    An argument is a file, a URL, a folder (all pictures below it, sorted), a glob (`**` for any folders but CLUTTER;
    the pictures among its matches, sorted), `@FILE` (a name a line), a CSV with a column path, or `-`: names on stdin,
    one a line, or ended by NUL with `null`. A name in a list is a file or URL; a relative one is looked for beside the
    list, then in the current folder. What exists under its very name is never taken for a glob.

    Raises UsageError or DataError at once for a list that is missing, a pipe or damaged in its first line and for a
    folder or glob without pictures; DataError later for a damaged line of a list.
    """
    arguments = list(arguments)
    if arguments.count(STDIN) > 1:
        raise UsageError("- stands twice: stdin can be read only once")
    if null and STDIN not in arguments:
        raise UsageError("-0 says how names on stdin end; it needs - among the inputs")
    for argument in arguments:
        if argument != STDIN and next(_expand(argument, null), None) is None:
            raise DataError(f"{argument} {_nothing(argument)}")
    return chain.from_iterable(_expand(argument, null) for argument in arguments)


def _expand(argument: str, null: bool) -> Iterator[Input]:
    """Yield what one argument means."""
    path = Path(argument)
    if argument == STDIN:
        yield from _stdin(null)
    elif is_url(argument):
        yield argument
    elif argument.startswith("@"):
        yield from _list(Path(argument[1:]))
    elif os.path.isdir(argument):  # noqa: PTH112 (never raises, unlike Path.is_dir)
        yield from image_files(path)
    elif path.suffix.lower() == ".csv":
        yield from _csv(path)
    elif _GLOB & set(argument) and not os.path.lexists(path):
        matches = glob.iglob(argument, recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
        passed_over = CLUTTER - set(path.parts)  # and not what the pattern itself names
        found = (match for match in map(Path, sorted(matches)) if passed_over.isdisjoint(match.parts))
        yield from (match for match in found if match.is_file() and is_image(match))
    else:
        yield path


def _nothing(argument: str) -> str:
    """Return why nothing comes of an argument."""
    if argument.startswith("@") or argument.lower().endswith(".csv"):
        return "names no picture; write one a line"
    if os.path.isdir(argument):  # noqa: PTH112
        return "has no pictures in it; name a folder of pictures"
    return "matches no picture; check the pattern, or quote it so that the shell leaves it alone"


def _stdin(null: bool) -> Iterator[Input]:
    count = 0
    for name in _pieces(sys.stdin.buffer, b"\0" if null else b"\n"):
        count += 1
        yield _input(name, "stdin", count)
    if not count:
        raise DataError("expected names of pictures on stdin, but nothing came; pipe a list into the command")


def _list(path: Path) -> Iterator[Input]:
    try:
        _refuse_pipe(path)
        with path.open("rb") as file:
            for number, name in enumerate(_pieces(file, b"\n"), start=1):
                yield _input(name, path, number, path.parent)
    except OSError as error:
        raise DataError(f"the list {path} cannot be opened ({error.strerror}); check its name after the @") from None


def _csv(path: Path) -> Iterator[Input]:
    try:
        _refuse_pipe(path)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            if "path" not in [name.strip() for name in reader.fieldnames or []]:
                found = ",".join(reader.fieldnames or [])
                raise DataError(f"{path}, line 1: expected a column path, found {ascii(found)[:200]}")
            reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
            for row in reader:
                if None in row:
                    raise DataError(f"{path}, line {reader.line_num}: too many fields; quote a path that has a comma")
                if not row["path"]:
                    raise DataError(f"{path}, line {reader.line_num}: no path")
                yield _input(original(row["path"]), path, reader.line_num, path.parent)
    except OSError as error:
        raise DataError(f"{path} cannot be opened ({error.strerror}); check the path") from None
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.reader.line_num}: not CSV ({error})") from None


def _refuse_pipe(path: Path) -> None:
    """Raise DataError for a list that can be read only once: `expand` reads its beginning beforehand."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"the list {path} is a pipe or device, expected a file; name - and pipe the names into the command"
        )


def _pieces(file: BinaryIO, end: bytes) -> Iterator[str]:
    """Yield the names in a file, each ended by `end`; empty ones are passed over. Bytes that are no UTF-8 stay."""
    rest = b""
    while chunk := file.read1(_CHUNK):  # type: ignore[attr-defined]
        *names, rest = (rest + chunk).split(end)
        if len(rest) > _LONGEST:
            raise DataError(f"expected a list of names, found one of over {_LONGEST:,} bytes; is this a list?")
        yield from _decoded(names, end)
    yield from _decoded([rest], end)


def _decoded(names: list[bytes], end: bytes) -> Iterator[str]:
    for name in names:
        if end == b"\n":
            name = name.removeprefix(b"\xef\xbb\xbf").removesuffix(b"\r")
        if name:
            yield name.decode("utf-8", "surrogateescape")


def _input(name: str, where: object, number: int, folder: Path | None = None) -> Input:
    """Return the picture that name `number` of a list means."""
    if "\0" in name:
        raise DataError(
            f"{where}, name {number}: expected one name a line, found a NUL; pipe names ended by NUL into - with -0"
        )
    if is_url(name):
        return name
    here = Path(name)
    beside = here if folder is None else folder / name
    return here if not _exists(beside) and _exists(here) else beside


def _exists(path: Path) -> bool:
    return os.path.exists(path) or idx_place(path) is not None  # noqa: PTH110 (never raises, unlike Path.exists)
