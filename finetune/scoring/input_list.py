"""What is known of the inputs before the first is scored: how many there are, and the other columns of a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.data.inputs import expected_inputs
from finetune.data.table_lines import is_table, table_lines


@dataclass(frozen=True)
class InputList:
    """The number of inputs, the length of the longest name, and of a CSV or Parquet list the columns other than `path`.

    `columns`: the length of each column's longest cell. Lengths are in bytes.
    """

    count: int
    longest: int
    columns: Mapping[str, int]
    table: Path | None = None

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Yield the cells of `columns` for each input, in order; nothing without a table."""
        for row in _other_cells(self.table) if self.table else ():
            yield tuple(row.get(name, "") for name in self.columns)


def read_input_list(arguments: Sequence[str]) -> InputList:
    """Return what the arguments, as `expand` reads them, list; read line by line, so that no list is held.

    Only the columns of a table that is the single argument are read, since those of several need not agree.
    """
    count = longest = 0
    for name in expected_inputs(arguments):
        count += 1
        longest = max(longest, len(as_bytes(str(name))))
    path = Path(arguments[0])
    if len(arguments) != 1 or not is_table(path) or not path.is_file():
        return InputList(count, longest, {})
    columns: dict[str, int] = {}
    for row in _other_cells(path):
        for name, cell in row.items():
            columns[name] = max(columns.get(name, 0), len(as_bytes(cell)))
    return InputList(count, longest, columns, path)


def as_bytes(text: str) -> bytes:
    """Return a text in UTF-8; of a file name, exactly its bytes."""
    return text.encode("utf-8", "surrogateescape")


def _other_cells(path: Path) -> Iterator[dict[str, str]]:
    """Yield the cells of each line by column, except `path`; none of a line with a fault."""
    for line in table_lines(path, ("path",), others=True):
        yield {name: cell for name, cell in line.cells.items() if name and name != "path"}
