"""Results on stdout: fitted to a terminal, complete and plain where they are piped or written to a file.

`NO_COLOR` and the width are rich's business. Its import takes 40 ms, so it happens only for a terminal.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from finetune.cli.safe_text import printable
from finetune.system import table as plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

GAP = 2  # columns of the terminal between those of a table
HEADER = "cyan"  # colours only: NO_COLOR would leave bold letters


@dataclass(frozen=True)
class Table:
    """Rows of cells; `align` has `l` or `r` for each column.

    `header`: the first row is one. `optional`: the columns, by number, that a narrow terminal goes without, in this
    order. If it is still too narrow, the texts in left-aligned columns are wrapped; numbers are always whole. `above`,
    `below`: lines next to it.
    """

    align: str
    rows: Sequence[Sequence[str]]
    header: bool = True
    optional: Sequence[int] = ()
    above: str = ""
    below: str = ""


def fits(table: Table) -> bool:
    """Return whether a table can be shown whole."""
    return not is_terminal() or _total(_widths(table)) <= console().width


def is_terminal() -> bool:
    """Return whether results go to a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def console() -> "Console":
    """Return the terminal, which prints texts as they are."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def show(*blocks: str | Table) -> None:
    """Print texts and tables with an empty line between them; names in tables cannot control the terminal."""
    if not is_terminal():
        print("\n\n".join(block if isinstance(block, str) else _plain(block) for block in blocks))
        return
    terminal = console()
    for number, block in enumerate(blocks):
        if number:
            terminal.print()
        parts = (
            [block]
            if isinstance(block, str)
            else [block.above, _fitted(block, terminal.width), block.below.replace("\n", " ")]
        )
        terminal.print(*filter(None, parts), sep="\n")


def _plain(table: Table) -> str:
    lines = plain.table(table.align, [list(map(printable, row)) for row in table.rows])
    return "\n".join(filter(None, [table.above, lines, table.below]))


def _fitted(table: Table, width: int) -> "RichTable":
    """Return the table without as many optional columns as the width asks for."""
    from rich.table import Table as RichTable
    from rich.text import Text

    widths = _widths(table)
    for column in table.optional:
        if _total(widths) > width:
            del widths[column]
    grid = RichTable.grid(padding=(0, GAP, 0, 0))
    for column in widths:
        right = table.align[column] == "r"
        grid.add_column(justify="right" if right else "left", no_wrap=right, overflow="fold")
    for number, row in enumerate(table.rows):
        style = HEADER if table.header and not number else ""
        grid.add_row(*(Text(printable(row[column]), style=style) for column in widths))
    return grid


def _widths(table: Table) -> dict[int, int]:
    """Return the width of every column, by number; some letters take two columns of a terminal."""
    from rich.cells import cell_len

    return {
        number: max(cell_len(printable(cell)) for cell in cells)
        for number, cells in enumerate(zip(*table.rows, strict=True))
    }


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)
