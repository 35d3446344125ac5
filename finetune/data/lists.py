"""From a list of images, plain text or CSV, to records."""

import csv
import logging
import os
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, LabelledFile, make_listed_dataset
from finetune.data.idx import image_exists
from finetune.data.split import SPLIT_NAMES, ChooseSplits, to_train_on
from finetune.errors import DataError
from finetune.system.csv_cells import original

logger = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One line of a CSV; `split` is None and `group` empty if the line has none."""

    line: int
    path: str
    label: str
    split: SplitName | None
    group: str


def read_list(data: Path, val_fraction: float = 0.2, group_by: str | None = None) -> Dataset:
    """Return the images of a text list: each line is a path, relative to the list's folder, then its class.

    The class is the last word of the line. Empty lines and lines that start with # are ignored; lines that repeat an
    earlier one are skipped with a warning. Class names that are all numbers are sorted by value. Raises DataError for
    a line without a class.
    """
    return make_listed_dataset(list_files(data, to_train_on), data, data, val_fraction, group_by)


def list_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the files of a text list with their classes; such a list names no splits to choose among."""
    choose(data, (None,))
    files: list[tuple[int, LabelledFile]] = []
    for number, line in enumerate(_read_text(data).split("\n"), start=1):
        words = line.strip().rsplit(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            raise DataError(f"{data}, line {number}: expected a path and its label, found only {words[0]!r}")
        files.append((number, LabelledFile(data.parent / words[0], words[1], None)))
    return _without_repeats(data, files)


def read_csv(data: Path, val_fraction: float = 0.2, group_by: str | None = None) -> Dataset:
    """Return the images of a CSV with the columns path, label and, if it has them, split and group; no others are read.

    A relative path is looked for as `listed_path` does. Split is one of SPLIT_NAMES, on every line or on none. An
    image without a group is a group of its own. Lines that repeat an earlier one are skipped with a warning. Raises
    DataError, with the line's number, for a line that lacks something.
    """
    train, val = f"the training lines of {data}", "the validation lines"
    return make_listed_dataset(csv_files(data, to_train_on), train, val, val_fraction, group_by)


def csv_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the files of a CSV with their classes: of the lines that name the chosen splits, in their order."""
    rows = _read_rows(data)
    unsplit = [row.line for row in rows if not row.split]
    if 0 < len(unsplit) < len(rows):
        raise DataError(
            f"{data}, line {unsplit[0]}: no split, but other lines have one; expected train or val on every line, "
            "or on none"
        )
    chosen = choose(data, {row.split for row in rows})
    files = (
        (row.line, LabelledFile(listed_path(data.parent, row.path), row.label, chosen[row.split], row.group))
        for row in rows
        if row.split in chosen
    )
    return _without_repeats(data, files)


def listed_path(folder: Path, name: str) -> Path:
    """Return the path of a name in a list: relative to the list's folder or, if only that exists, to the current one.

    The second makes the manifest.csv of a run readable: its paths are relative to where train was called.
    """
    in_folder, in_current = folder / name, Path(name)
    return in_current if not image_exists(in_folder) and image_exists(in_current) else in_folder


def _without_repeats(data: Path, files: Iterable[tuple[int, LabelledFile]]) -> list[LabelledFile]:
    """Return the files, given with their line numbers, without repeats of the same file, class and split.

    They would count twice.
    """
    first: dict[LabelledFile, tuple[int, LabelledFile]] = {}
    repeats: list[tuple[int, LabelledFile]] = []
    for line, file in files:
        key = file._replace(path=Path(os.path.abspath(file.path)))  # noqa: PTH100 (removes .., unlike Path.absolute)
        if first.setdefault(key, (line, file))[0] != line:
            repeats.append((line, file))
    if repeats:
        line, file = repeats[0]
        logger.warning(
            "%s: lines skipped because they repeat others: %d, the first is line %d, %s",
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
        raise DataError(f"{data}, line {reader.line_num}: invalid CSV ({error})") from None
    return rows


def _row(data: Path, line: int, header: list[str], fields: list[str]) -> _Row:
    if len(fields) > len(header):
        raise DataError(
            f"{data}, line {line}: expected {len(header)} fields, found {len(fields)}; quote paths that contain a comma"
        )
    named = dict(zip(header, fields, strict=False))
    missing = [name for name in ("path", "label") if not named.get(name)]
    if missing:
        raise DataError(f"{data}, line {line}: no {missing[0]}; expected {','.join(header)}")
    cell = named.get("split", "").strip()
    split = SPLIT_NAMES.get(cell.lower())
    if cell and not split:
        raise DataError(f"{data}, line {line}: unknown split {cell!r}; expected {', '.join(SPLIT_NAMES)}")
    group = original(named.get("group", ""))
    return _Row(line, original(named["path"]), original(named["label"]), split, group)


def _read_text(data: Path) -> str:
    """Return the text of a list; bytes that are not UTF-8 are kept as they are, as in file names."""
    content = data.read_bytes()
    if b"\0" in content:
        raise DataError(f"{data} is not text: expected a list of images, a path and its label per line, in UTF-8")
    return content.decode("utf-8-sig", "surrogateescape")
