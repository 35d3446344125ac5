"""The lines of a table that lists images, CSV or Parquet; its name says which."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from finetune.data.list_lines import CSV_EXTENSIONS, TableLine, csv_lines
from finetune.data.parquet_lines import parquet_lines

PARQUET = ".parquet"
TABLE_EXTENSIONS = frozenset((*CSV_EXTENSIONS, PARQUET))


def is_table(path: Path) -> bool:
    """Return whether a file is a table, by its name."""
    return path.suffix.lower() in TABLE_EXTENSIONS


def table_lines(path: Path, needed: Sequence[str], others: bool = False) -> Iterator[TableLine]:
    """Yield the lines of a table as `csv_lines` or `parquet_lines`; with `others`, the columns not needed too."""
    if path.suffix.lower() == PARQUET:
        return parquet_lines(path, needed, others)
    return csv_lines(path, needed)


def line_name(path: Path, number: int) -> str:
    """Return how an error calls a line: a Parquet file has rows, counted from 1."""
    return f"{path}, {'row' if path.suffix.lower() == PARQUET else 'line'} {number}"
