"""What a training writes while it runs, and what it logs."""

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from support.plans import plan_of, settled

from finetune.data.augment import LEVELS
from finetune.data.dataset import Dataset, Record, Skipped
from finetune.model import Model
from finetune.runs.run import Run
from finetune.training.checkpoint import load_progress
from finetune.training.describe import describe
from finetune.training.journal import Journal
from finetune.training.plan import Plan
from finetune.training.state import Epoch, HeadValues, Part, State

STATE = State(
    HeadValues({"fc8/bias": np.ones(3, np.float32)}, {}, (np.ones(1, np.float32),)),
    (Epoch(1, 0.001, 0.7, 0.5, 0.6, 0.75),),
)
WITHIN = replace(STATE, history=(), part=Part(2, 1.4, 3))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((80, 80, 3), 9, np.uint8))
    records = (Record(tmp_path / "a.png", 0, "train", "aa" * 32), Record(Path("b.png"), 1, "val", "bb" * 32))
    return Dataset(records, ("red", "green", "blue"))


def plan(model: Model, **options: Any) -> Plan:
    return plan_of(model, ("fc8",), config=settled(**options))


def names(run: Run) -> list[str]:
    return sorted(path.name for path in run.path.iterdir())


def test_the_first_state_writes_the_first_files(tiny_model: Model, dataset: Dataset, tmp_path: Path) -> None:
    """The manifest has the images that could be read; config and plan are those of the data as it was read."""
    run, made = Run(tmp_path / "run"), plan(tiny_model)
    readable = replace(dataset, skipped=(Skipped(Path("c.png"), "damaged"),))
    Journal(run, made, dataset, started=False).keep(STATE, readable)
    assert names(run) == [
        "checkpoint", "classes.txt", "config.json", "history.csv", "manifest.csv", "plan.txt", "skipped.csv"
    ]  # fmt: skip
    assert (run.path / "plan.txt").read_text() == describe(made, dataset) + "\n"
    assert "c.png,damaged" in (run.path / "skipped.csv").read_text()
    assert run.config()["learning_rate"] == 0.001
    assert run.config()["source_weights"] == {"name": "tiny", "sha256": "ab" * 32}
    assert load_progress(run).whole.history == STATE.history


def test_a_state_within_the_first_epoch_starts_a_run_too(tiny_model: Model, dataset: Dataset, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    Journal(run, plan(tiny_model), dataset, started=False).keep(WITHIN, dataset)
    assert "history.csv" not in names(run)
    assert load_progress(run).latest.part == WITHIN.part


def test_a_resumed_run_keeps_its_first_files(tiny_model: Model, dataset: Dataset, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.path.mkdir()
    (run.path / "manifest.csv").write_text("as it was")
    Journal(run, plan(tiny_model), dataset, started=True).keep(STATE, dataset)
    assert (run.path / "manifest.csv").read_text() == "as it was"
    assert names(run) == ["checkpoint", "history.csv", "manifest.csv"]


@pytest.mark.parametrize(
    ("options", "augmentation", "sheet"),
    [({"views": 2}, "light", True), ({"views": 0}, "light", True), ({"views": 2}, "none", False), ({}, "light", False)],
)
def test_the_sheet_of_views_is_written_where_views_differ(
    tiny_model: Model, dataset: Dataset, tmp_path: Path, options: dict[str, int], augmentation: str, sheet: bool
) -> None:
    run = Run(tmp_path / "run")
    made = replace(plan(tiny_model, **options), augmentation=LEVELS[augmentation])
    Journal(run, made, dataset, started=False).keep(STATE, dataset)
    assert ("augmented.png" in names(run)) == sheet


@pytest.mark.parametrize(("patience", "kept"), [(None, "last"), (5, "best")])
def test_the_log(
    tiny_model: Model,
    dataset: Dataset,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    patience: int | None,
    kept: str,
) -> None:
    """A header, and a line at the end of an epoch, none within one; with patience each best epoch is marked."""
    clock = iter([7.0, 8.5])
    monkeypatch.setattr("finetune.training.journal.time", SimpleNamespace(monotonic=lambda: next(clock)))
    journal = Journal(Run(tmp_path / "run"), plan(tiny_model, patience=patience), dataset, started=False)
    with caplog.at_level(logging.INFO):
        journal.begin()
        journal.keep(WITHIN, dataset)
        assert len(caplog.messages) == 1
        journal.keep(STATE, dataset)
        journal.report_interruption(1)
    assert caplog.messages == [
        "epoch    loss  accuracy  validation loss  validation accuracy  seconds",
        "    1  0.7000    50.0 %           0.6000               75.0 %      1.5" + ("  best" if patience else ""),
        f"interrupted: 1 of 3 epochs are done; keeping the {kept}",
    ]
