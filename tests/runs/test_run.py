"""The run directory: it never overwrites other files, and is read back as written."""

import os
from datetime import datetime
from pathlib import Path

import pytest
from support.runs import started

from finetune.data.dataset import Dataset, Record, Skipped
from finetune.errors import RunError
from finetune.export.export import export
from finetune.model import Model
from finetune.runs.run import Run, open_run, runs_with_model

DATASET = Dataset(
    (Record(Path("a,b.png"), 0, "train", "00"), Record(Path("ü.png"), 1, "val", "01")),
    ("ants", "bees"),
    (Skipped(Path("broken.jpg"), "the file is empty"),),
)


def finished(path: Path, model: Model) -> Run:
    run = started(Run.create(path, overwrite=False).path, {"seed": 1}, DATASET)
    run.write_model(model)
    run.write_metrics({"val_accuracy": 1.0})
    return run


def test_files_of_a_run(tmp_path: Path, tiny_model: Model) -> None:
    run = finished(tmp_path / "deep" / "run", tiny_model)
    run.write_history(("epoch", "loss"), [(1, 0.5), (2, 0.25)])
    texts = {p.name: p.read_text(encoding="utf-8") for p in run.path.iterdir() if p.suffix != ".safetensors"}
    assert texts == {
        "config.json": '{\n  "seed": 1\n}\n',
        "manifest.csv": 'path,label,split\n"a,b.png",ants,train\nü.png,bees,val\n',
        "skipped.csv": "path,reason\nbroken.jpg,the file is empty\n",
        "classes.txt": "ants\nbees\n",
        "history.csv": "epoch,loss\n1,0.5\n2,0.25\n",
        "metrics.json": '{\n  "val_accuracy": 1.0\n}\n',
    }
    assert run.metrics() == {"val_accuracy": 1.0}
    assert open_run(run.path).model == run.path / "model.safetensors"


def test_a_run_is_replaced_only_when_asked(tmp_path: Path, tiny_model: Model) -> None:
    run = finished(tmp_path / "run", tiny_model)
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="already holds a run; choose another --out, or --overwrite to replace it"):
        Run.create(run.path, overwrite=False)
    Run.create(run.path, overwrite=True)
    assert run.model.is_file(), "nothing is written or removed yet"
    started(Run.create(run.path, overwrite=True).path, {}, DATASET)
    assert not run.model.exists(), "a model of the older run must not stay next to the new one's metrics"
    assert (run.path / "notes.txt").read_text() == "mine"


def test_a_training_stopped_before_its_first_state_can_be_started_again(tmp_path: Path) -> None:
    with (
        pytest.raises(RunError, match="interrupted"),
        Run.create(tmp_path / "run", overwrite=False).locked({"seed": 1}),
    ):
        raise RunError("interrupted")
    again = Run.create(tmp_path / "run", overwrite=False)
    assert again.pending() == {"seed": 1}
    with again.locked({"seed": 2}):
        assert again.pending() == {"seed": 2}


def test_an_older_run_takes_its_exports_along(tmp_path: Path, tiny_model: Model) -> None:
    run = finished(tmp_path / "run", tiny_model)
    assert export(str(run.path), "npy").folder == run.path / "export-npy"
    (run.path / "notes").mkdir()
    started(run.path, {}, DATASET)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "classes.txt", "config.json", "manifest.csv", "notes", "skipped.csv"
    ]  # fmt: skip


def test_runs_of_the_same_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Clock":
            return cls(2030, 1, 2, 3, 4, 5)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("finetune.runs.run.datetime", Clock)
    for name in ("2030-01-02_030405", "2030-01-02_030405_2", "2030-01-02_030405_3"):
        run = Run.create(None, overwrite=False)
        assert run.path == Path("runs", name)
        with run.locked({"seed": 1}):
            started(run.path, {"seed": 1}, DATASET)


def test_a_folder_with_other_files_is_never_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(RunError, match="contains files and is not a run; choose another --out"):
        Run.create(tmp_path, overwrite=True)
    with pytest.raises(RunError, match="is a file; expected the name of a new folder"):
        Run.create(tmp_path / "thesis.tex", overwrite=True)


def test_runs_with_a_model_the_newest_first(tmp_path: Path, tiny_model: Model) -> None:
    assert runs_with_model(tmp_path / "runs") == []
    old, new = (finished(tmp_path / "runs" / name, tiny_model) for name in ("a-old", "z-new"))
    started(tmp_path / "runs" / "unfinished", {}, DATASET)
    os.utime(new.model, (2, 2))
    os.utime(old.model, (1, 1))
    assert [run.path for run in runs_with_model(tmp_path / "runs")] == [new.path, old.path]


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no model\.safetensors: expected a run directory"):
        open_run(tmp_path)
