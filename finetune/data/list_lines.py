"""The lines of a list of images, text or CSV, one by one: what training, checking and scoring read it with."""

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple

from finetune.errors import DataError
from finetune.system.csv_cells import original

LONGEST = 1 << 16  # characters of a line; no file system allows as many for a name

CSV_EXTENSIONS = frozenset((".csv", ".tsv"))
OPTIONAL = ("split", "group")  # columns next to a label
_DELIMITERS = ",;\t"  # Excel writes semicolons where numbers have a decimal comma


class TableLine(NamedTuple):
    """One line of a table: its number, its cells by column, all of them, and why they cannot be used, or ""."""

    number: int
    cells: Mapping[str, str]
    fault: str = ""


def text_lines(path: Path, newline: str | None = None) -> Iterator[str]:
    """Yield the lines of a file as they are; bytes that are not UTF-8 are kept as they are, as in file names.

    A file with the byte order mark of UTF-16 is read as that. `newline`: as for `open`. A pipe may be read, too.
    Raises OSError if the file cannot be opened, DataError if it is not a list.
    """
    with path.open("rb") as file:
        utf_16 = file.peek(2).startswith((BOM_UTF16_LE, BOM_UTF16_BE))
        text = TextIOWrapper(file, "utf-16" if utf_16 else "utf-8-sig", "surrogateescape", newline)
        try:
            while line := text.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise DataError(f"{path}: expected a list, found a line of over {LONGEST:,} characters; check it")
                yield line
        except UnicodeDecodeError:
            raise DataError(f"{path}: it begins like UTF-16, but is damaged; save the list in UTF-8") from None


def csv_lines(path: Path, needed: Sequence[str]) -> Iterator[TableLine]:
    """Yield the lines of a CSV that are not empty, whose header has the columns `needed`, none of which is empty.

    Columns are separated by commas or, if there is none in the header, by semicolons or tabs. A line with a fault has
    no cells. If the rest cannot be read, that is the fault of the last line. Raises OSError if the file cannot be
    opened, DataError if it has no such header.
    """
    lines = text_lines(path, newline="")
    first = next(lines, "")
    delimiter = next((each for each in _DELIMITERS if each in first), ",")
    try:
        (names,) = csv.reader([first], delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        names = []
    header = column_names(names, needed)
    if "\0" in first:
        raise DataError(f"{path} is not text: expected a CSV in UTF-8; save it as CSV UTF-8")
    if not set(needed) <= set(header):
        columns = "a column" if len(needed) == 1 else "columns"
        raise DataError(
            f"{path}, line 1: expected {columns} named {' and '.join(needed)}, found {ascii(first.strip())[:200]}; "
            "name the columns in line 1"
        )
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield TableLine(reader.line_num + 1, {}, f"invalid CSV ({error})")
            continue
        except DataError as error:
            yield TableLine(reader.line_num + 2, {}, str(error).removeprefix(f"{path}: "))
            return
        if fields:
            yield _line(reader.line_num + 1, header, fields, needed, delimiter)


def column_names(names: Sequence[str], needed: Sequence[str]) -> list[str]:
    """Return the names of columns, those of ours in lower case."""
    ours = {*needed, *(OPTIONAL if "label" in needed else ())}
    return [name.lower() if name.lower() in ours else name for name in map(str.strip, names)]


def _line(
    number: int, header: Sequence[str], fields: Sequence[str], needed: Sequence[str], delimiter: str
) -> TableLine:
    if len(fields) > len(header):
        sign = {",": "comma", ";": "semicolon", "\t": "tab"}[delimiter]
        more = f"expected {len(header)} fields, found {len(fields)}; quote paths that contain a {sign}"
        return TableLine(number, {}, more)
    missing = [""] * (len(header) - len(fields))
    return table_line(number, header, [*map(original, fields), *missing], needed)


def table_line(number: int, header: Sequence[str], fields: Sequence[str], needed: Sequence[str]) -> TableLine:
    """Return a line with these cells, or with the fault of one of them."""
    cells = dict(zip(header, fields, strict=True))
    if any("\0" in cell for cell in fields):
        return TableLine(number, {}, "expected text, found a NUL; save the list in UTF-8")
    missing = next((name for name in needed if not cells[name].strip()), None)
    return TableLine(number, {}, f"no {missing}; expected {','.join(header)}") if missing else TableLine(number, cells)
