"""A run directory is read back as it was written."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from support.encoded_images import RGB, encode
from support.runs import started

from finetune.data.dataset import Dataset, Record, Skipped
from finetune.errors import RunError
from finetune.runs.read_run import (
    LARGEST_SHEET,
    read_augmented,
    read_dataset,
    read_evaluation,
    read_history,
    read_plan,
    read_probe,
)
from finetune.runs.run import Run

ODD = Path(os.fsdecode(b'a "quoted", name with \xff.png'))  # no UTF-8
DATASET = Dataset(
    (Record(Path("ü b.png"), 0, "train", ""), Record(ODD, 1, "val", ""), Record(Path("a\u2028b"), 1, "train", "")),
    ("ants, red", "bees"),
    (Skipped(Path("broken.jpg"), "not an image: expected JPEG, PNG"),),
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "run")
    started(run.path, {"seed": 1}, DATASET)
    return run


def test_images(run: Run) -> None:
    assert read_dataset(run) == DATASET


def test_groups(tmp_path: Path) -> None:
    """The manifest has their column if an image has one; one that looks like a formula is read as it was."""
    records = tuple(r._replace(group=name) for r, name in zip(DATASET.records, ("", "=p1", "p, 2"), strict=True))
    grouped = replace(DATASET, records=records)
    run = started(tmp_path / "grouped", {}, grouped)
    lines = (run.path / "manifest.csv").read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    assert lines[0] == "path,label,split,group"
    assert lines[1].endswith(',"ants, red",train,')
    assert lines[2].endswith(",bees,val,'=p1")
    assert read_dataset(run) == grouped


def test_history(run: Run) -> None:
    run.write_history(("epoch", "train_loss"), [(1, 0.1), (2, 1e-9)])
    assert read_history(run) == [{"epoch": 1, "train_loss": 0.1}, {"epoch": 2, "train_loss": 1e-9}]


def test_probe(run: Run) -> None:
    """Numbers are read to the last bit; a run by gradient has none."""
    assert read_probe(run) == []
    columns = ("layer", "strength", "accuracy", "standard_error", "log_loss", "seconds", "chosen")
    rows = [("pool5", 0.3, 1 / 3, 0.01, 1e-9, 2.5, False), ("fc6", 10.0, 1.0, 0.0, 0.5, 1.0, True)]
    run.write_probe(columns, rows)
    assert read_probe(run) == [dict(zip(columns, (*row[:-1], str(row[-1])), strict=True)) for row in rows]


def test_a_probe_is_gone_with_the_run_that_is_replaced(run: Run) -> None:
    run.write_probe(("layer", "accuracy", "standard_error", "log_loss", "chosen"), [("fc6", 1, 0, 0, True)])
    started(run.path, {"seed": 2}, DATASET)
    assert read_probe(run) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("layer,accuracy\nfc6,1\n", r"probe\.csv is damaged: expected the columns layer, accuracy, standard_error, "),
        (
            "layer,accuracy,standard_error,log_loss,chosen\nfc6,high,0,0,True\n",
            r"probe\.csv is damaged \(could not convert string to float: 'high'\); train again",
        ),
        ("layer,accuracy,standard_error,log_loss,chosen\nfc6,1,0\n", r"probe\.csv is damaged: expected the columns"),
        ('layer,accuracy\n"fc6', r"probe\.csv is damaged \("),
    ],
)
def test_damaged_probe(run: Run, content: str, message: str) -> None:
    (run.path / "probe.csv").write_text(content)
    with pytest.raises(RunError, match=message):
        read_probe(run)


def test_evaluation_and_plan(run: Run) -> None:
    assert (read_evaluation(run), read_plan(run)) == (None, "")
    figures = {"top1": 1 / 3, "most_wrong": [{"path": str(ODD)}]}
    run.write_evaluation(figures)
    assert read_evaluation(run) == figures
    started(run.path, {"seed": 1}, DATASET, "all frozen\nnothing trained")
    assert read_plan(run) == "all frozen\nnothing trained\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", None, r"has no manifest\.csv: expected a run directory that `finetune train` finished"),
        ("manifest.csv", "path,label\na.png,bees\n", r"manifest\.csv is damaged: expected the columns path, label"),
        ("manifest.csv", "path,label,split\na.png,wasps,val\n", r"a\.png with label 'wasps' and split 'val'; expected"),
        ("manifest.csv", "path,label,split\na.png,bees,dev\n", r"a\.png with label 'bees' and split 'dev'; expected"),
        ("classes.txt", None, r"has no classes\.txt"),
        ("skipped.csv", "file\na.png\n", r"skipped\.csv is damaged"),
    ],
)
def test_damaged_images(run: Run, name: str, content: str | None, message: str) -> None:
    (run.path / name).unlink()
    if content is not None:
        (run.path / name).write_text(content)
    with pytest.raises(RunError, match=message):
        read_dataset(run)


def test_damaged_history_and_evaluation(run: Run) -> None:
    with pytest.raises(RunError, match=r"has no history\.csv"):
        read_history(run)
    (run.path / "history.csv").write_text("epoch,train_loss\n1,0.5\n2,\n")
    with pytest.raises(RunError, match=r"history\.csv is damaged \(could not convert string to float"):
        read_history(run)
    (run.path / "evaluation.json").write_text("{")
    with pytest.raises(RunError, match=r"evaluation\.json is not valid JSON"):
        read_evaluation(run)


def test_augmented(run: Run) -> None:
    """The PNG as it was written; nothing in place of one that is missing, truncated, too large or something else."""
    assert read_augmented(run) == b""
    png = encode(RGB, "PNG")
    run.write_augmented(png)
    assert read_augmented(run) == png
    for content in (png[:-1], b"", encode(RGB, "JPEG"), png[:-12] + bytes(LARGEST_SHEET) + png[-12:]):
        run.write_augmented(content)
        assert read_augmented(run) == b""
    (run.path / "augmented.png").unlink()
    (run.path / "augmented.png").mkdir()
    assert read_augmented(run) == b""
