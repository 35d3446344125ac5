"""`finetune report`."""

import json
from collections.abc import Callable
from pathlib import Path

from support.report_inputs import dataset, evaluation_json
from support.runs import started

from finetune.data.dataset import Dataset, Record
from finetune.model import Model

Finetune = Callable[..., tuple[int, str, str]]


def test_the_page_is_written_and_printed(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path
) -> None:
    data, path = image_folder(stripes=1), tmp_path / "run"
    records = (Record(data / "stripes" / "0.png", 0, "val", ""),)
    run = started(path, {"data": str(data)}, Dataset(records, tiny_model.class_names))
    run.write_history(
        ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
        [(1, 0.1, 1.0, 0.5, 1.0, 0.5)],
    )
    run.write_model(tiny_model)
    run.write_metrics({"val_accuracy": 0.5, "best_epoch": 1, "epochs": 1, "interrupted": False})
    assert finetune("report", path) == (0, f"{path / 'report.html'}\n", "")
    assert (path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_not_a_run(finetune: Finetune, tmp_path: Path) -> None:
    code, out, err = finetune("report", tmp_path)
    assert (code, out) == (1, "")
    assert "has no model.safetensors" in err


def test_the_confusion_matrix_too(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path
) -> None:
    paths = sorted(image_folder(stripes=3).rglob("*.png"))
    names = tiny_model.class_names
    run = started(tmp_path / "run", {"data": str(tmp_path)}, dataset(names, paths))
    run.write_model(tiny_model)
    run.write_history(
        ("epoch", "learning_rate", "train_loss", "train_accuracy", "val_loss", "val_accuracy"),
        [(1, 0.1, 1.0, 0.5, 1.0, 0.5)],
    )
    run.write_metrics({"val_accuracy": 0.5, "best_epoch": 1, "epochs": 1, "interrupted": False})
    evaluation = json.dumps(evaluation_json(names, paths))
    (run.path / "evaluation.json").write_text(evaluation, encoding="utf-8")
    drawing = tmp_path / "matrix.svg"
    code, out, err = finetune("report", run.path, "--confusion", drawing)
    assert (code, out, err) == (0, f"{run.path}/report.html\n{drawing}\n", "")
    assert all(f">{name}</text>" in drawing.read_text(encoding="utf-8") for name in names)
    code, out, err = finetune("report", run.path, "--confusion", drawing)
    assert (code, out) == (1, "")
    assert f"--confusion {drawing} exists; choose another name" in err


def test_a_confusion_matrix_of_another_kind(finetune: Finetune, tmp_path: Path) -> None:
    code, out, err = finetune("report", tmp_path, "--confusion", tmp_path / "matrix.gif")
    assert (code, out) == (2, "")
    assert "--confusion" in err
    assert "expected a name that ends in .png, .pdf or .svg" in err
