"""The runs in a folder: their order, what each changes, and folders that are damaged or not runs."""

import os
from pathlib import Path
from typing import Any

import pytest
from support.runs import finished, started

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError
from finetune.runs.list_runs import changed_options, list_runs

IMAGES = Dataset((Record(Path("0.png"), 0, "val", ""),), ("ants", "bees"))


def made(folder: Path, *configs: dict[str, Any]) -> list[Path]:
    """Make finished runs, the newest first by name, a second apart."""
    paths = []
    for number, config in enumerate(configs):
        path = folder / "zyx"[number]
        finished(path, {"data": "x", "out": str(path), "version": str(number), **config}, IMAGES)
        os.utime(path / "metrics.json", (number, number))
        paths.append(path)
    return paths


def test_oldest_first_with_what_each_changes(tmp_path: Path) -> None:
    made(tmp_path, {"epochs": 5, "patience": 2}, {"epochs": 50, "patience": None}, {"epochs": 50, "patience": None})
    listed = list_runs(tmp_path)
    assert [run.run.name for run in listed] == ["z", "y", "x"]
    assert [run.changed for run in listed] == [{}, {"epochs": 50, "patience": None}, {}]
    assert listed[1].to_json()["changed"] == {"epochs": 50, "patience": None}


def test_other_images(tmp_path: Path) -> None:
    """They are reported where --data does not."""
    made(tmp_path, {"data_sha256": "a"}, {"data_sha256": "b"}, {"data_sha256": "c", "data": "y"})
    assert [run.other_images for run in list_runs(tmp_path)] == [False, True, False]
    made(tmp_path, {"data_sha256": "a"}, {}, {"data_sha256": "a"})
    assert [run.other_images for run in list_runs(tmp_path)] == [False, False, False]


def test_a_damaged_run_stops_no_other(tmp_path: Path) -> None:
    """And the run below it differs from the last one that can be read."""
    _, damaged, _ = made(tmp_path, {"epochs": 5}, {"epochs": 6}, {"epochs": 7})
    (damaged / "config.json").write_text("{")
    listed = list_runs(tmp_path)
    assert [run.run.status for run in listed] == ["finished", "damaged", "finished"]
    assert "config.json is not valid JSON" in str(listed[1].run.problem)
    assert [run.changed for run in listed] == [{}, {}, {"epochs": 7}]


def test_a_folder_that_cannot_be_entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, {}, {})
    exists = Path.exists

    def refused(path: Path) -> bool:
        if path.parent.name == "y":
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path)

    monkeypatch.setattr(Path, "exists", refused)
    problems = {run.run.name: run.run.problem for run in list_runs(tmp_path)}
    assert problems["z"] is None
    assert "Permission denied" in str(problems["y"])


def test_what_is_not_a_run_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert list_runs(tmp_path) == []
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.safetensors").touch()
    assert [run.run.status for run in list_runs(tmp_path)] == ["damaged"]


def test_not_a_folder_of_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"expected a folder of runs, but .*nowhere is not a folder; give another"):
        list_runs(tmp_path / "nowhere")
    run = started(tmp_path / "run", {}, IMAGES)
    with pytest.raises(RunError, match=r"expected a folder of runs, but .*run is itself a run; give the folder it is"):
        list_runs(run.path)


def test_only_options_with_a_meaning_change() -> None:
    """A probe has no epochs, training by gradient has no --probe, and names and versions are not options."""
    probe = {**TrainConfig(data=Path("x"), probe="fc6").to_json(), "out": "a", "version": "1"}
    gradient = {**TrainConfig(data=Path("x"), skip=("fc8",), epochs=5, val_fraction=0.2).to_json(), "version": "2"}
    assert changed_options(probe, gradient) == {"skip": ("fc8",), "epochs": 5, "val_fraction": 0.2}
    assert changed_options(gradient, probe) == {"probe": "fc6", "val_fraction": None}
    assert changed_options({"data": "x"}, probe) == {}, "an older version did not have the others"
