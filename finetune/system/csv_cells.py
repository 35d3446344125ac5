"""CSV cells that a spreadsheet does not run as formulas: names of files and classes are anybody's text.

A text that starts like a formula (OWASP, "CSV Injection") gets a ' in front, which makes it text in a spreadsheet.
"""

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def harmless(cell: Any) -> Any:
    """Return the cell to write: a text that looks like a formula, and is not a number, with a ' in front."""
    formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def original(cell: str) -> str:
    """Return the text that was given to `harmless`.

    >>> original(harmless("=1+1")), original(harmless("'=1")), original(harmless("-3")), original(harmless("it's"))
    ('=1+1', "'=1", '-3', "it's")
    """
    return cell[1:] if _ESCAPED.match(cell) else cell


def write_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows with every cell harmless; lines end with a line feed; `file` must be open with newline=""."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(
        file, lineterminator="\n", quoting=csv.QUOTE_ALL
    )  # because readers take a lone \r for the end of a line
    for row in rows:
        cells = [harmless(cell) for cell in row]
        (quoted if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)
