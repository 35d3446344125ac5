"""A Parquet list in place of a CSV: the same data set, inputs and errors for every command that reads one."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from support.written_files import write_files

from finetune.check.listing import list_files
from finetune.data.images import FaultyLine
from finetune.data.inputs import expand
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError, UsageError
from finetune.scoring.input_list import InputList, read_input_list

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

Write = Callable[..., tuple[Path, Path]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes rows as a CSV and as a Parquet file next to six images, and returns their paths."""
    write_files(tmp_path, {f"{name}/{i}.png": 9 * n + i for n, name in enumerate(("ants", "bees")) for i in range(3)})

    def written(columns: tuple[str, ...], *rows: tuple[str, ...]) -> tuple[Path, Path]:
        with (tmp_path / "list.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([columns, *rows])
        cells = {name: [row[place] for row in rows] for place, name in enumerate(columns)}
        pq.write_table(pa.table(cells), tmp_path / "list.parquet")
        return tmp_path / "list.csv", tmp_path / "list.parquet"

    return written


ALL = [(f"{name}/{number}.png", name, split) for name in ("bees", "ants") for number, split in enumerate("ttv")]


def test_the_same_images_to_train_on_to_evaluate_and_to_check(write: Write) -> None:
    names = {"t": "train", "v": "val"}
    lists = write(("path", "Label", "split"), *((path, label, names[split]) for path, label, split in ALL))
    by_csv, by_parquet = map(read_data, lists)
    assert by_csv == by_parquet
    assert len(by_csv.records) == 6
    assert labelled_files(lists[0]) == labelled_files(lists[1])
    assert labelled_files(lists[0], "train") == labelled_files(lists[1], "train")
    assert list_files(lists[0]) == list_files(lists[1])


def test_the_same_inputs_to_score(write: Write) -> None:
    by_csv, by_parquet = write(("onset", "path", "label"), *(("1.5", path, label) for path, label, _ in ALL))
    inputs = list(expand([str(by_csv)]))
    assert list(expand([str(by_parquet)])) == inputs
    assert len(inputs) == 6
    counted, listed = read_input_list([str(by_csv)]), read_input_list([str(by_parquet)])
    assert listed == InputList(counted.count, counted.longest, counted.columns, by_parquet)
    assert list(counted.lines()) == list(listed.lines()) == [("1.5", label) for _, label, _ in ALL]


FAULTS = [
    ([("ants/0.png", "ants", "train"), ("ants/1.png", "ants", "")], 2, "no split, but other lines have one; expected "),
    ([("ants/0.png", "ants", "train"), ("ants/1.png", "", "val")], 2, "no label; expected path,label,split"),
    ([("ants/0.png", "ants", "x")], 1, "unknown split 'x'; expected train, val, valid, validation, test"),
]


@pytest.mark.parametrize(("rows", "number", "fault"), FAULTS)
def test_the_same_errors(write: Write, rows: list[tuple[str, ...]], number: int, fault: str) -> None:
    by_csv, by_parquet = write(("path", "label", "split"), *rows)
    for data, place in ((by_csv, f"line {number + 1}"), (by_parquet, f"row {number}")):
        with pytest.raises(DataError) as error:
            read_data(data)
        assert str(error.value).startswith(f"{data}, {place}: {fault}")


def test_rows_that_repeat_others_count_once(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    _, data = write(("path", "label"), *((path, label) for path, label, _ in [*ALL, ALL[2]]))
    assert len(read_data(data).records) == 6
    path = data.parent / "bees" / "2.png"
    assert caplog.messages == [f"{data}: lines skipped because they repeat others: 1, the first is row 7, {path}"]


def test_a_row_with_a_fault_is_a_row_of_the_output(write: Write) -> None:
    _, data = write(("path",), ("ants/0.png",), (" ",), ("ants/1.png",))
    first, fault, last = expand([str(data)])
    assert (first, last) == (data.parent / "ants/0.png", data.parent / "ants/1.png")
    assert fault == FaultyLine(f"{data}, row 2", "no path; expected path")


def test_a_list_without_rows(write: Write) -> None:
    _, data = write(("path", "label"))
    with pytest.raises(DataError, match=r"list\.parquet lists no images; write one per line"):
        expand([str(data)])


def test_a_parquet_file_of_another_name(write: Write) -> None:
    _, data = write(("path", "label"), ("ants/0.png", "ants"))
    renamed = data.rename(data.with_name("list.pq"))
    for read in (read_data, labelled_files):
        with pytest.raises(DataError) as error:
            read(renamed)
        assert str(error.value) == (
            f"expected a list in a Parquet file to be named like list.parquet, not {renamed}; rename it"
        )


def test_a_missing_list() -> None:
    with pytest.raises(UsageError, match=r"missing\.parquet does not exist"):
        read_data(Path("missing.parquet"))
    with pytest.raises(DataError, match=r"missing\.parquet cannot be opened \(No such file or directory\)"):
        expand(["missing.parquet"])
