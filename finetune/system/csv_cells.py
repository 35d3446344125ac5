"""CSV cells that no spreadsheet computes, and back: names of files and classes are anybody's text.

What a spreadsheet takes for a formula: OWASP, "CSV Injection". A ' in front makes it text there, and so does it here.
"""

import csv
import re
from collections.abc import Iterable
from typing import Any, TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_ESCAPED = re.compile(r"'+[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def harmless(cell: Any) -> Any:
    """Return a cell to write: a text that looks like a formula, and is no number, gets a ' in front."""
    formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if formula else cell


def original(cell: str) -> str:
    """Return the text that `harmless` got.

    >>> original(harmless("=1+1")), original(harmless("'=1")), original(harmless("-3")), original(harmless("it's"))
    ('=1+1', "'=1", '-3', "it's")
    """
    return cell[1:] if _ESCAPED.match(cell) else cell


def write_rows(file: TextIO, rows: Iterable[Iterable[Any]]) -> None:
    """Write rows with every cell harmless, lines ended by a line feed; `file` must be open with newline=""."""
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # a lone \r ends a line for those who read
    for row in rows:
        cells = [harmless(cell) for cell in row]
        (quoted if any("\r" in str(cell) for cell in cells) else plain).writerow(cells)
