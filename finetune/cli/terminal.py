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
    from rich.text import Text

GAP = 2  # columns of the terminal between those of a table
_UNLIMITED = 10_000
HEADER = "cyan"  # colours only: NO_COLOR would leave bold letters


@dataclass(frozen=True)
class Table:
    """Rows of cells; `align` has `l` or `r` for each column.

    `header`: the first row is one. `shrink`: columns, by number, whose texts are shortened where a terminal is too
    narrow, in this order, and the width that each keeps. `optional`: the columns that a narrow terminal goes without
    where that is not enough, in this order. If it is still too narrow, the texts in left-aligned columns are wrapped;
    numbers are always whole. `notes`: lines below each row. `above`, `below`: lines next to the table.
    """

    align: str
    rows: Sequence[Sequence[str]]
    header: bool = True
    optional: Sequence[int] = ()
    shrink: Sequence[tuple[int, int]] = ()
    notes: Sequence[Sequence[str]] = ()
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


def width() -> int:
    """Return how many columns the terminal has; what is piped elsewhere may be of any width."""
    return console().width if is_terminal() else _UNLIMITED


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
            else [block.above, *_fitted(block, terminal.width), block.below.replace("\n", " ")]
        )
        terminal.print(*filter(None, parts), sep="\n")


def shortened(text: str, most: int) -> str:
    """Return a text without its middle if it is longer than `most`: names often differ in their end.

    >>> shortened("hymenoptera", 8)
    'hyme…era'
    """
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - 1) // 2 :]}"


def _plain(table: Table) -> str:
    return "\n".join(filter(None, [table.above, *_lines(table, table.rows, table.align), table.below]))


def _lines(table: Table, rows: Sequence[Sequence[str]], align: str) -> list[str]:
    """Return the rows as lines, each with its notes below it."""
    lines = plain.table(align, [list(map(printable, row)) for row in rows]).split("\n")
    notes = [*([()] if table.header else []), *table.notes] if table.notes else [()] * len(lines)
    return [each for line, own in zip(lines, notes, strict=True) for each in (line, *own)]


def _fitted(table: Table, width: int) -> "list[RichTable | str | Text]":
    """Return the table with shortened texts, and without as many optional columns, as the width asks for."""
    from rich.table import Table as RichTable
    from rich.text import Text

    widths = _widths(table)
    for dropped in range(len(table.optional) + 1):
        kept = {column: most for column, most in widths.items() if column not in table.optional[:dropped]}
        for column, least in table.shrink:
            if column in kept:
                kept[column] -= max(0, min(_total(kept) - width, kept[column] - least))
        if _total(kept) <= width:
            break
    rows = [[_cell(row[column], kept[column], column in dict(table.shrink)) for column in kept] for row in table.rows]
    if table.notes:
        first, *others = _lines(table, rows, "".join(table.align[column] for column in kept))
        return [Text(first, style=HEADER if table.header else ""), *others]
    grid = RichTable.grid(padding=(0, GAP, 0, 0))
    for column in kept:
        right = table.align[column] == "r"
        grid.add_column(justify="right" if right else "left", no_wrap=right, overflow="fold")
    for number, row in enumerate(rows):
        style = HEADER if table.header and not number else ""
        grid.add_row(*(Text(cell, style=style) for cell in row))
    return [grid]


def _cell(text: str, most: int, shrink: bool) -> str:
    return shortened(printable(text), most) if shrink else printable(text)


def _widths(table: Table) -> dict[int, int]:
    """Return the width of every column, by number; some letters take two columns of a terminal."""
    from rich.cells import cell_len

    return {
        number: max(cell_len(printable(cell)) for cell in cells)
        for number, cells in enumerate(zip(*table.rows, strict=True))
    }


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)
