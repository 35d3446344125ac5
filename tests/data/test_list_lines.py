"""The lines of lists, one by one: numbers, delimiters, encodings, and what is wrong with a line."""

import os
import threading
from pathlib import Path

import pytest

from finetune.data.list_lines import TableLine, csv_lines, text_lines
from finetune.errors import DataError


def written(folder: Path, content: str | bytes) -> Path:
    path = folder / "list"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_numbers_are_those_of_an_editor(tmp_path: Path) -> None:
    """That of a line's last part where a cell has a line break; empty lines count, but are not yielded."""
    path = written(tmp_path, 'path,label\n\na,x\n"b\nc",y\nd\n')
    assert list(csv_lines(path, ("path", "label"))) == [
        TableLine(3, {"path": "a", "label": "x"}),
        TableLine(5, {"path": "b\nc", "label": "y"}),
        TableLine(6, {}, "no label; expected path,label"),
    ]


@pytest.mark.parametrize(
    ("header", "first", "cells"),
    [
        ("path,a;b", "x,y", {"path": "x", "a;b": "y"}),
        ("path;a", "x,y;z", {"path": "x,y", "a": "z"}),
        ("a\tpath", "x;y,\tz", {"a": "x;y,", "path": "z"}),
        ("path", "x y", {"path": "x y"}),
        ('"path";a', '"x;y";\'=z', {"path": "x;y", "a": "=z"}),
    ],
)
def test_delimiters(tmp_path: Path, header: str, first: str, cells: dict[str, str]) -> None:
    """A comma in the header decides, then a semicolon, as Excel writes it in many countries, then a tab."""
    path = written(tmp_path, f"{header}\r\n{first}\r\n")
    assert list(csv_lines(path, ("path",))) == [TableLine(2, cells)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, end: str) -> None:
    path = written(tmp_path, f"path{end}ä{end}b".encode(encoding))
    assert [line.rstrip("\n") for line in text_lines(path)] == ["path", "ä", "b"]
    assert [line.cells["path"] for line in csv_lines(path, ("path",))] == ["ä", "b"]


def test_bytes_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path, b"path\n\xe9.png\n")
    assert [os.fsencode(line.cells["path"]) for line in csv_lines(path, ("path",))] == [b"\xe9.png"]


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """As by the shell's <(command)."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("path,label\na,x\n",))
    writer.start()
    assert [line.cells["path"] for line in csv_lines(path, ("path",))] == ["a"]
    writer.join()


def test_a_quote_that_never_ends_is_one_fault(tmp_path: Path) -> None:
    path = written(tmp_path, 'path\na\n"b\nc\n')
    assert [(line.number, line.fault) for line in csv_lines(path, ("path",))] == [
        (2, ""),
        (4, "invalid CSV (unexpected end of data)"),
    ]


def test_no_list_is_held(tmp_path: Path) -> None:
    """A line that is too long is not read to its end."""
    path = written(tmp_path, b"x" * 70_000)
    with pytest.raises(DataError, match=r"list: expected a list, found a line of over 65,536 characters; check it"):
        next(text_lines(path))
    with pytest.raises(DataError, match="over 65,536 characters"):
        next(csv_lines(path, ("path",)))
