"""Names that are not UTF-8, or decomposed: of the data, its classes and its images, through every command."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from support.exports import stand_in_runtime

from finetune.choices import ExportFormat
from finetune.model import Model, save_model

Finetune = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.tensorflow

NAMES = ("caf\xe9", "fourmi \\xe9")


def assert_plain_text(path: Path) -> None:
    """Fail if a file is not UTF-8, or if JSON in it has half of a character, which strict readers refuse."""
    assert "\\ud" not in path.read_bytes().decode("utf-8")


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Classes whose names are bytes, and decomposed as on a Mac; the folder's name is not UTF-8 either."""
    monkeypatch.chdir(tmp_path)
    folder = image_folder(stripes=6, dots=6)
    (folder / "stripes").rename(folder / "cafe\u0301 ")
    (folder / "dots").rename(folder / os.fsdecode(b"fourmi \xe9"))
    return folder.rename(os.fsdecode(b"donn\xe9es"))


def trained(finetune: Finetune, data: Path, tiny_weights: Path) -> Path:
    code, _, err = finetune("train", "--data", data, "--weights", tiny_weights, "--out", "run", "--epochs", 1)
    assert code == 0, err
    return Path("run")


@pytest.mark.slow
def test_every_command_takes_them(finetune: Finetune, data: Path, tiny_weights: Path) -> None:
    run = trained(finetune, data, tiny_weights)
    assert (run / "classes.txt").read_text(encoding="utf-8").splitlines() == list(NAMES)
    image = data / "cafe\u0301 " / "0.png"
    again = ("train", "--data", run / "manifest.csv", "--weights", tiny_weights, "--out", "again", "--epochs", 1)
    commands: list[tuple[object, ...]] = [
        ("evaluate", run), ("evaluate", run, "--data", data), ("evaluate", run, "--json"), ("report", run),
        ("runs", "."), ("weights", "inspect", run / "model.safetensors"),
        ("check", data, "--html", "check.html", "--write-list", "clean.csv"), ("predict", data, "--model", run),
        ("explain", image, "--model", run, "--class", "fourmi \udce9", "--out", "drawing.png"), again,
        ("train", "--resume", run), ("check", "clean.csv"), ("evaluate", run, "--data", "clean.csv"),
    ]  # fmt: skip
    for command in commands:
        code, _, err = finetune(*command)
        assert code == 0, (command, err)
    assert (run / "model.safetensors").read_bytes() == Path("again/model.safetensors").read_bytes()
    assert_plain_text(run / "classes.txt")


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_scores_in_every_format(finetune: Finetune, data: Path, tiny_weights: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    run = trained(finetune, data, tiny_weights)
    plain = shutil.copytree(data / "cafe\u0301 ", "plain")  # names of images are as they are in JSON lines
    code, _, err = finetune("score", plain, "--model", run, "--probabilities", "--out", f"rows.{ending}")
    assert code == 0, err
    if ending == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table("rows.parquet")
        assert {each["label"] for row in table.to_pylist() for each in row["predictions"]} == set(NAMES)
        assert json.loads(table.schema.metadata[b"finetune"])["class_names"] == list(NAMES)
    else:
        assert_plain_text(Path(f"rows.{ending}"))


@pytest.fixture
def old_model(tiny_model: Model, tmp_path: Path) -> Path:
    """A model as version 0.1.0 wrote it: bytes in the names of its classes."""
    path = tmp_path / "old.safetensors"
    save_model(path, replace(tiny_model, class_names=("fourmi \udce9", "\udcff", "cafe\u0301")))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("format", get_args(ExportFormat))
def test_exports_in_every_format(
    finetune: Finetune, old_model: Path, image_folder: Callable[..., Path], tmp_path: Path, format: ExportFormat
) -> None:
    options: dict[str, tuple[object, ...]] = {
        "litert-int8": ("--data", image_folder(stripes=3, dots=3)),
        **dict.fromkeys(("web", "web-int8"), ("--runtime", stand_in_runtime(tmp_path / "dist"))),
    }
    code, _, err = finetune("export", old_model, "--to", format, "--out", tmp_path / "out", *options.get(format, ()))
    assert code == 0, err
    assert_plain_text(tmp_path / "out" / "README.md")
    names = (tmp_path / "out" / "classes.txt").read_text(encoding="utf-8").splitlines()
    assert names == ["fourmi \\xe9", "\\xff", "cafe\u0301"]


def test_an_old_model_is_exported_and_evaluated(
    finetune: Finetune, old_model: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Classes are matched by name, however it is spelled."""
    code, _, err = finetune("export", old_model, "--to", "npy", "--out", tmp_path / "out")
    assert code == 0, err
    run = tmp_path / "run"
    run.mkdir()
    old_model.rename(run / "model.safetensors")
    folder = image_folder(stripes=2, dots=2)
    (folder / "stripes").rename(folder / "caf\xe9")
    (folder / "dots").rename(folder / os.fsdecode(b"\xff"))
    code, out, err = finetune("evaluate", run, "--data", folder)
    assert code == 0, err
    assert "\\xff" in out
