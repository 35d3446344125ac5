"""From a list of images, plain text or a table (CSV, Parquet), to records."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from finetune.choices import SplitName
from finetune.data.class_name import checked_names, class_name, is_valid_text, valid_text
from finetune.data.dataset import Dataset, LabelledFile, make_listed_dataset
from finetune.data.idx import image_exists
from finetune.data.list_lines import text_lines
from finetune.data.split import SPLIT_NAMES, ChooseSplits, ChosenSplits, to_train_on
from finetune.data.table_lines import line_name, table_lines
from finetune.errors import DataError

logger = logging.getLogger(__name__)


class _Row(NamedTuple):
    """One line of a list; `split` is None and `group` empty if the line has none."""

    line: int
    path: str
    label: str
    split: SplitName | None
    group: str


def read_list(data: Path, val_fraction: float = 0.2, group_by: str | None = None, cache: bool = True) -> Dataset:
    """Return the images of a text list: each line is a path, found as `listed_path` does, then its class.

    The class is the last word of the line, after a blank or a comma. Empty lines and lines that start with # are
    ignored; lines that repeat an earlier one are skipped with a warning. Class names that are all numbers are sorted by
    value. Raises DataError for a line without a class.
    """
    return make_listed_dataset(list_files(data, to_train_on), data, data, val_fraction, group_by, cache)


def list_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the files of a text list with their classes; such a list names no splits to choose among."""
    choose(data, {None: ()})
    rows: list[_Row] = []
    lines = list(text_lines(data))
    if any("\0" in line for line in lines):
        raise DataError(f"{data} is not text: expected a list of images, a path and its label per line, in UTF-8")
    for number, line in enumerate(lines, start=1):
        words = _words(data.parent, line.strip())
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2:
            hint = "; HDF5 files are not read, list images" if words[0].lower().endswith((".h5", ".hdf5")) else ""
            raise DataError(f"{data}, line {number}: expected a path and its label, found only {words[0]!r}{hint}")
        rows.append(_Row(number, words[0], _label(data, number, words[1]), None, ""))
    return _files(data, rows, {None: None})


def _words(folder: Path, line: str) -> list[str]:
    """Return path and class of a line: the class follows a blank or, if only then the path exists, a comma."""
    words = line.rsplit(maxsplit=1)
    by_comma = [word.strip() for word in line.rsplit(",", 1)]
    if len(by_comma) < 2:
        return words
    fits = len(words) == 2 and not words[1].startswith(",") and image_exists(listed_path(folder, words[0]))
    return by_comma if len(words) < 2 or (not fits and image_exists(listed_path(folder, by_comma[0]))) else words


def read_table(data: Path, val_fraction: float = 0.2, group_by: str | None = None, cache: bool = True) -> Dataset:
    """Return the images of a table with the columns path, label and, if it has them, split and group; no others count.

    A relative path is looked for as `listed_path` does. Split is one of SPLIT_NAMES, on every line or on none. An
    image without a group is a group of its own. Lines that repeat an earlier one are skipped with a warning. Raises
    DataError, with the line's number, for a line that lacks something.
    """
    train, val = f"the training lines of {data}", "the validation lines"
    return make_listed_dataset(table_files(data, to_train_on), train, val, val_fraction, group_by, cache)


def table_files(data: Path, choose: ChooseSplits) -> list[LabelledFile]:
    """Return the files of a table with their classes: of the lines that name the chosen splits, in their order."""
    rows = _read_rows(data)
    unsplit = [row.line for row in rows if not row.split]
    if 0 < len(unsplit) < len(rows):
        raise DataError(
            f"{line_name(data, unsplit[0])}: no split, but other lines have one; expected train or val on every line, "
            "or on none"
        )
    found: dict[SplitName | None, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.split, []).append(row)
    return _files(data, rows, choose(data, found))


def listed_path(folder: Path, name: str) -> Path:
    """Return the path of a name in a list: relative to the list's folder or, if only that exists, to the current one.

    The second makes the manifest.csv of a run readable: its paths are relative to where train was called. Backslashes
    may separate folders, as on Windows, quotes may be around the name, and `~/` is the user's home.
    """
    first = folder / name
    return first if image_exists(first) else next(filter(image_exists, _other_places(folder, name)), first)


def _other_places(folder: Path, name: str) -> Iterator[Path]:
    """Yield where else than in `folder` a name in a list may be, and under which other names."""
    yield Path(name)
    for other in (name.replace("\\", "/"), name.strip('"')):
        yield from (folder / other, Path(other))
    if name.startswith("~/"):
        yield Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises without a home)


def _files(data: Path, rows: Iterable[_Row], chosen: ChosenSplits) -> list[LabelledFile]:
    """Return the files of the chosen splits; repeats of the same file, class and split are skipped."""
    rows = [row for row in rows if row.split in chosen]
    names = checked_names(data, (row.label for row in rows))
    first: dict[tuple[object, ...], tuple[int, LabelledFile]] = {}
    repeats: list[tuple[int, LabelledFile]] = []
    for row in rows:
        path = listed_path(data.parent, row.path)
        file = LabelledFile(path, names[row.label], chosen[row.split], class_name(row.group))
        key = (os.path.abspath(path), *file[1:])  # noqa: PTH100 (removes .., unlike Path.absolute)
        if first.setdefault(key, (row.line, file))[0] != row.line:
            repeats.append((row.line, file))
    if repeats:
        line, file = repeats[0]
        logger.warning(
            "%s: lines skipped because they repeat others: %d, the first is %s, %s",
            data,
            len(repeats),
            line_name(data, line).removeprefix(f"{data}, "),
            file.path,
        )
    return [file for _, file in first.values()]


def _read_rows(data: Path) -> list[_Row]:
    rows = []
    for line in table_lines(data, ("path", "label")):
        if line.fault:
            raise DataError(f"{line_name(data, line.number)}: {line.fault}")
        cells = line.cells
        cell = cells.get("split", "").strip()
        split = SPLIT_NAMES.get(cell.lower())
        if cell and not split:
            raise DataError(
                f"{line_name(data, line.number)}: unknown split {cell!r}; expected {', '.join(SPLIT_NAMES)}"
            )
        label = _label(data, line.number, cells["label"])
        rows.append(_Row(line.number, cells["path"], label, split, cells.get("group", "")))
    return rows


def _label(data: Path, line: int, label: str) -> str:
    """Return a label as it is; raise DataError if it is not UTF-8."""
    if not is_valid_text(label):
        raise DataError(
            f"{line_name(data, line)}: the label {valid_text(label)!r} is not UTF-8 (it may be Windows-1252); "
            "save the list in UTF-8, in Excel as CSV UTF-8"
        )
    return label
