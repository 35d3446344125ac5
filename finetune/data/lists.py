"""From a list of pictures, plain text or CSV, to records."""

import csv
import logging
import os
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from finetune.data.dataset import Dataset, Found, make_listed_dataset
from finetune.data.idx import idx_place
from finetune.data.split import TEST_NAME, VALIDATION_NAMES, Split
from finetune.errors import DataError
from finetune.system.csv_cells import original

logger = logging.getLogger(__name__)

_SIDES: dict[str, Split | None] = {"": None, "train": "train", **dict.fromkeys((*VALIDATION_NAMES, TEST_NAME), "val")}


class _Row(NamedTuple):
    """One line of a CSV; `split` is empty where it says nothing."""

    line: int
    path: str
    label: str
    split: str


def read_list(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images of a text list: a line is a path, relative to the list's folder, and its class as last word.

    Empty lines and lines that start with # are passed over, and lines that say what one before them says, with a
    warning. Class names that are all numbers are sorted by value. Raises DataError for a line without a class.
    """
    return make_listed_dataset(list_files(data), data, data, val_fraction)


def list_files(data: Path) -> list[Found]:
    """Return the files of a text list with their classes."""
    files: list[tuple[int, Found]] = []
    for number, line in enumerate(_read_text(data).split("\n"), start=1):
        words = line.strip().rsplit(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            raise DataError(f"{data}, line {number}: expected a path and its label, found only {words[0]!r}")
        files.append((number, Found(data.parent / words[0], words[1], None)))
    return _without_repeats(data, files)


def read_csv(data: Path, val_fraction: float = 0.2) -> Dataset:
    """Return the images of a CSV with the columns path, label and, if the sides are settled, split; others may follow.

    A relative path is looked for beside the CSV, then in the current folder, as a run's manifest.csv has it. Split is
    train, or val, valid, validation or test for validation, in every line or in none. Lines that say what one before
    them says are passed over, with a warning. Raises DataError for a line that lacks something, with its number.
    """
    return make_listed_dataset(csv_files(data), f"the training lines of {data}", "the validation lines", val_fraction)


def csv_files(data: Path) -> list[Found]:
    """Return the files of a CSV with their classes and, if it has them, their sides."""
    rows = _read_rows(data)
    unsplit = [row.line for row in rows if not row.split]
    if 0 < len(unsplit) < len(rows):
        raise DataError(
            f"{data}, line {unsplit[0]}: no split, but other lines have one; expected train or val in every line, "
            "or in none"
        )
    found = (Found(_place(data.parent, row.path), row.label, _SIDES[row.split]) for row in rows)
    return _without_repeats(data, zip((row.line for row in rows), found, strict=True))


def _without_repeats(data: Path, files: Iterable[tuple[int, Found]]) -> list[Found]:
    """Return the files, by the numbers of their lines, less those that stand there before, of the same class and side.

    They would count twice.
    """
    first: dict[Found, tuple[int, Found]] = {}
    repeats: list[tuple[int, Found]] = []
    for line, file in files:
        key = file._replace(path=Path(os.path.abspath(file.path)))  # noqa: PTH100 (takes .. away, unlike absolute)
        if first.setdefault(key, (line, file))[0] != line:
            repeats.append((line, file))
    if repeats:
        line, file = repeats[0]
        logger.warning(
            "%s: lines left out since they repeat others: %d, the first is line %d, %s",
            data,
            len(repeats),
            line,
            file.path,
        )
    return [file for _, file in first.values()]


def _read_rows(data: Path) -> list[_Row]:
    reader = csv.reader(StringIO(_read_text(data), newline=""), skipinitialspace=True, strict=True)
    rows = []
    try:
        header = [name.strip() for name in next(reader, [])]
        if not {"path", "label"} <= set(header):
            raise DataError(
                f"{data}, line 1: expected the header path,label or path,label,split, found {','.join(header)!r}"
            )
        for fields in reader:
            if fields:
                rows.append(_row(data, reader.line_num, header, fields))
    except csv.Error as error:
        raise DataError(f"{data}, line {reader.line_num}: not CSV ({error})") from None
    return rows


def _row(data: Path, line: int, header: list[str], fields: list[str]) -> _Row:
    if len(fields) > len(header):
        raise DataError(
            f"{data}, line {line}: expected {len(header)} fields, found {len(fields)}; quote a path that has a comma"
        )
    named = dict(zip(header, fields, strict=False))
    missing = [name for name in ("path", "label") if not named.get(name)]
    if missing:
        raise DataError(f"{data}, line {line}: no {missing[0]}; expected {','.join(header)}")
    split = named.get("split", "").strip()
    if split.lower() not in _SIDES:
        raise DataError(f"{data}, line {line}: unknown split {split!r}; expected {', '.join(filter(None, _SIDES))}")
    return _Row(line, original(named["path"]), original(named["label"]), split.lower())


def _place(folder: Path, path: str) -> Path:
    """Return where a path of the CSV leads; one that leads nowhere is told as beside the CSV."""
    beside, here = folder / path, Path(path)
    return here if not _exists(beside) and _exists(here) else beside


def _exists(path: Path) -> bool:
    return os.path.exists(path) or idx_place(path) is not None  # noqa: PTH110 (never raises, unlike Path.exists)


def _read_text(data: Path) -> str:
    """Return the text of a list; bytes that are no UTF-8 stay what they are, as in names of files."""
    content = data.read_bytes()
    if b"\0" in content:
        raise DataError(f"{data} is no text: expected a list of pictures, a path and its label a line, in UTF-8")
    return content.decode("utf-8-sig", "surrogateescape")
