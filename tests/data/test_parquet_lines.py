"""A Parquet file as a list: what a CSV with the same cells gives, read batch by batch; and its faults."""

import csv
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from finetune.data import parquet_lines as module
from finetune.data.list_lines import TableLine
from finetune.data.table_lines import table_lines
from finetune.errors import DataError, UsageError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_a_parquet_file_gives_the_cells_of_a_csv(tmp_path: Path) -> None:
    rows = [("a.png", "ants", "train", "1"), ("b,c.png", "bé\n", "val", ""), ("d.png", "7", "test", "2")]
    names = ("path", "Label", "SPLIT", "group")
    with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    parquet = written(tmp_path / "list.parquet", {name: list(cells) for name, cells in columns.items()})
    from_csv = [line.cells for line in table_lines(tmp_path / "list.csv", ("path", "label"))]
    assert [line.cells for line in table_lines(parquet, ("path", "label"))] == from_csv


def test_other_types_become_text(tmp_path: Path) -> None:
    """As pandas writes them: categories, labels that are numbers, whole numbers that became floats because of a gap."""
    columns = {
        "path": pa.array(["a", "b"]).dictionary_encode(),
        "label": pa.array([3, 0], pa.int16()),
        "split": pa.array([None, "val"], pa.large_string()),
        "group": pa.array([7.0, None]),
    }
    path = written(tmp_path / "list.PARQUET", columns)
    assert list(table_lines(path, ("path", "label"))) == [
        TableLine(1, {"path": "a", "label": "3", "split": "", "group": "7"}),
        TableLine(2, {"path": "b", "label": "0", "split": "val", "group": ""}),
    ]


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    columns = {
        "pixels": [[1, 2], [3]],
        "path": ["a", "b"],
        "onset": [1.5, 2.0],
        "image": [{"bytes": b"\xff"}, {"bytes": b""}],
        "label": ["x", "y"],
    }
    path = written(tmp_path / "list.parquet", columns)
    assert [dict(line.cells) for line in table_lines(path, ("path",))] == [{"path": "a"}, {"path": "b"}]
    (first, _) = table_lines(path, ("path",), others=True)
    assert dict(first.cells) == {"path": "a", "onset": "1.5", "label": "x"}, "no lists and no images"
    (first, _) = table_lines(path, ("path", "label"))
    assert dict(first.cells) == {"path": "a", "label": "x"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(4)])
def test_other_columns_of_bytes_are_not_read(tmp_path: Path, kind: Any) -> None:
    """As of images: they are not text, and would take memory."""
    columns = {"path": ["a"], "image": pa.array([b"\xff\xd8\0\xff"], kind), "onset": [1.5]}
    (line,) = table_lines(written(tmp_path / "list.parquet", columns), ("path",), others=True)
    assert line == TableLine(1, {"path": "a", "onset": "1.5"})


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    name = pa.array([b"\xe9.png"])
    as_text = pa.Array.from_buffers(pa.string(), 1, name.buffers())  # as a writer that checks nothing leaves it
    for column in (name, as_text, name.cast(pa.large_binary())):
        (line,) = table_lines(written(tmp_path / "list.parquet", {"path": column}), ("path",))
        assert os.fsencode(line.cells["path"]) == b"\xe9.png"


def test_rows_are_counted_through_batches_and_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    path = written(tmp_path / "list.parquet", {"path": [f"{row}.png" for row in range(10)]}, row_group_size=4)
    assert list(table_lines(path, ("path",))) == [TableLine(row + 1, {"path": f"{row}.png"}) for row in range(10)]


def test_rows_are_read_only_when_they_are_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows are never held: what is read when the first row is there is one batch."""
    monkeypatch.setattr(module, "_BATCH", 10)
    path = written(tmp_path / "list.parquet", {"path": [f"{row}.png" for row in range(1000)]}, row_group_size=100)
    decoded: list[int] = []
    texts = module._texts
    monkeypatch.setattr(module, "_texts", lambda column: (decoded.append(len(column)), texts(column))[1])
    lines = table_lines(path, ("path",))
    next(lines)
    assert decoded == [10]


@pytest.mark.parametrize(
    ("path", "label", "fault"),
    [
        ("a.png", None, "no label; expected path,label"),
        ("", "x", "no path; expected path,label"),
        ("a.png", " ", "no label; expected path,label"),
        ("a\0.png", "x", "expected text, found a NUL; save the list in UTF-8"),
    ],
)
def test_a_row_with_a_fault(tmp_path: Path, path: str, label: str | None, fault: str) -> None:
    file = written(tmp_path / "list.parquet", {"path": ["0.png", path, "2.png"], "label": ["x", label, "y"]})
    assert [(line.number, line.fault) for line in table_lines(file, ("path", "label"))] == [
        (1, ""),
        (2, fault),
        (3, ""),
    ]


def test_missing_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", {"file": ["a"], "label": ["b"]})
    message = f"{path}: expected columns named path and label, found 'file, label'; rename them"
    with pytest.raises(DataError) as error:
        next(table_lines(path, ("path", "label")))
    assert str(error.value) == message
    with pytest.raises(DataError, match="expected a column named path, found 'file, label'"):
        next(table_lines(path, ("path",)))


def test_a_column_that_is_not_text(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", {"path": ["a"], "label": [["ants", "bees"]]})
    with pytest.raises(DataError, match=r"the column label is list<.*>, expected text or numbers; convert it"):
        next(table_lines(path, ("path", "label")))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    table = pa.table([pa.array(["a"]), pa.array([1]), pa.array([2])], names=["path", "x", "x"])
    pq.write_table(table, path)
    assert list(table_lines(path, ("path",), others=True)) == [TableLine(1, {"path": "a"})]
    for names in (["path", "path", "x"], ["Path", "path", "x"]):
        pq.write_table(table.rename_columns(names), path)
        with pytest.raises(DataError, match="expected one column named path, found several; rename the others"):
            next(table_lines(path, ("path",)))


@pytest.mark.parametrize("content", [b"", b"path,label\na,b\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"list\.parquet cannot be read as Parquet \(.+\); write it again") as error:
        next(table_lines(path, ("path",)))
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(table_lines(tmp_path / "list.parquet", ("path",)))


def test_a_file_that_is_damaged_in_the_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batches before the damage are read; the rest is the fault of one more row, as for a CSV."""
    monkeypatch.setattr(module, "_BATCH", 50)
    names = [f"{row:05d}.png" for row in range(1000)]
    path = written(
        tmp_path / "list.parquet", {"path": names}, row_group_size=100, compression="gzip", use_dictionary=False
    )
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(5).column(0).data_page_offset
    content[start + 40 : start + 200] = bytes(160)
    path.write_bytes(content)
    *lines, last = table_lines(path, ("path",))
    assert [line.cells["path"] for line in lines] == names[: len(lines)]
    assert len(lines) in range(1, 501)
    assert last.number == len(lines) + 1
    assert last.fault.startswith("the rest cannot be read as Parquet (")


def test_damage_anywhere_is_an_error_of_one_line_or_other_cells(tmp_path: Path) -> None:
    path = written(tmp_path / "list.parquet", {"path": [f"{row}.png" for row in range(300)], "label": [*range(300)]})
    content = path.read_bytes()
    for place in range(0, len(content), 23):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            found = list(table_lines(path, ("path", "label")))
        except DataError as error:
            found = [TableLine(1, {}, str(error))]
        assert not any("\n" in line.fault for line in found)


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "list.parquet", {"path": ["a"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        UsageError, match=r"reading .*list\.parquet needs pyarrow; pip install 'pyarrow>=18\.0', or save"
    ):
        next(table_lines(path, ("path",)))
