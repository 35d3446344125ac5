"""Cells that a spreadsheet would run as formulas (OWASP, "CSV Injection"): written harmless, read back as they were."""

import csv
import io
from typing import Any

import pytest

from finetune.system.csv_cells import harmless, original, write_rows


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-cmd", "'-cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\nx", "'\nx"),
        ("'=1+1", "''=1+1"),
        ("-3", "-3"),
        ("+0.25", "+0.25"),
        ("-3e", "'-3e"),
        ("it's", "it's"),
        ("'quoted'", "'quoted'"),
        ("a=b", "a=b"),
        ("", ""),
        (-3, -3),
        (0.5, 0.5),
        (None, None),
    ],
)
def test_harmless_and_back(cell: Any, written: Any) -> None:
    assert harmless(cell) == written
    if isinstance(cell, str):
        assert original(written) == cell


def test_rows_are_read_back_as_they_were() -> None:
    rows = [["path", "label"], ["=x.png", 'a "b", c'], ["a\rb", "c\nd"], ["-1", "ä"]]
    file = io.StringIO(newline="")
    write_rows(file, rows)
    text = file.getvalue()
    assert text.startswith('path,label\n\'=x.png,"a ""b"", c"\n')
    assert '"a\rb"' in text, "quoted, because some programs take a lone \\r for the end of a line"
    assert [list(map(original, row)) for row in csv.reader(io.StringIO(text, newline=""))] == rows
