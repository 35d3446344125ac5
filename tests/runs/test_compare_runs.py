"""Two runs side by side, and whether they were measured on the same images."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support.runs import finished, started

from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError
from finetune.runs.compare_runs import compare_runs

CLASSES = ("ants", "bees")


def images(*names: str, split: str = "val") -> Dataset:
    """Return a data set with these images to validate, and one to train on."""
    records = (Record(Path(name), 0, "val" if split == "val" else "train", "") for name in names)
    return Dataset((*records, Record(Path("t.png"), 1, "train", "")), CLASSES)


def test_what_differs(tmp_path: Path) -> None:
    versions = {"finetune": "1", "numpy": "2.0"}
    first = finished(tmp_path / "a", {"epochs": 5, "seed": 0, "out": "a", "versions": versions}, images("0", "1"), 1)
    config = {"epochs": 9, "seed": 0, "out": "b", "patience": 3, "versions": {**versions, "numpy": "2.1"}}
    second = finished(tmp_path / "b", config, images("0", "1"), 2)
    found = compare_runs(first.path, second.path)
    assert found.differing == {"epochs": (5, 9), "numpy": ("2.0", "2.1")}
    assert (found.same_images, found.shared_images) == (True, 2)
    shown = found.to_json()
    assert shown["differing"]["epochs"] == [5, 9]
    assert [run["accuracy"] for run in shown["runs"]] == [0.5, 1.0]


def test_different_images(tmp_path: Path) -> None:
    first = finished(tmp_path / "a", {}, images("0", "1", "2"))
    second = finished(tmp_path / "b", {}, images("1", "2", "3"))
    found = compare_runs(first.path, second.path)
    assert (found.same_images, found.shared_images) == (False, 2)


def test_the_same_images_with_another_class(tmp_path: Path) -> None:
    first = finished(tmp_path / "a", {}, images("0"))
    other = replace(images("0"), class_names=("wasps", "bees"))
    assert compare_runs(first.path, finished(tmp_path / "b", {}, other).path).same_images is False


def test_a_probe_without_validation_images(tmp_path: Path) -> None:
    """It is measured on its training images."""
    first = finished(tmp_path / "a", {}, images("0"))
    probe = finished(tmp_path / "b", {}, images("0"))
    probe.write_data(images("0", split="train"))
    found = compare_runs(first.path, probe.path)
    assert (found.same_images, found.shared_images) == (False, 1)


def test_the_same_images_in_a_folder_that_was_moved(tmp_path: Path) -> None:
    """The digest of all images and splits finds them."""
    first = finished(tmp_path / "a", {"data_sha256": "d"}, images("old/0"))
    second = finished(tmp_path / "b", {"data_sha256": "d"}, images("new/0"))
    assert compare_runs(first.path, second.path).same_images is True


def test_relative_and_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder too, as long as the run is where train wrote it."""
    (tmp_path / "0.png").touch()
    relative = finished(tmp_path / "runs/a", {"out": "runs/a"}, images("0.png"))
    absolute = finished(tmp_path / "runs/b", {"out": "runs/b"}, images(str(tmp_path / "0.png")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert compare_runs(relative.path, absolute.path).same_images is True


def test_without_results(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "a", {}, images("0")), started(tmp_path / "b", {}, images("0"))
    found = compare_runs(first.path, second.path)
    assert (found.same_images, found.shared_images) == (None, None)


def test_not_a_run_and_damaged(tmp_path: Path) -> None:
    first = finished(tmp_path / "a", {}, images("0")).path
    with pytest.raises(RunError, match=r"nowhere has no config\.json"):
        compare_runs(first, tmp_path / "nowhere")
    second = tmp_path / "b"
    shutil.copytree(first, second)
    (second / "manifest.csv").unlink()
    with pytest.raises(RunError, match=r"has no manifest\.csv"):
        compare_runs(first, second)
