"""The confusion matrix as a figure: names at the sides, counts in the cells, and what is refused."""

import json
import re
from pathlib import Path

import pytest
from support.runs import started

from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError, UsageError
from finetune.evaluation.confusion_figure import write_confusion
from finetune.model import Model


@pytest.fixture
def run(tiny_model: Model, tmp_path: Path) -> Path:
    """A run whose evaluation is written by hand."""
    records = (Record(tmp_path / "0.png", 0, "val", ""),)
    run = started(tmp_path / "run", {"data": str(tmp_path)}, Dataset(records, tiny_model.class_names))
    run.write_model(tiny_model)
    run.write_metrics({"val_accuracy": 0.5, "best_epoch": 1, "epochs": 1, "interrupted": False})
    return run.path


def evaluate(run: Path, names: list[str], confusion: list[list[int]]) -> None:
    evaluation = {"per_class": [{"label": name} for name in names], "confusion": confusion}
    (run / "evaluation.json").write_text(json.dumps(evaluation), encoding="utf-8")


def texts(figure: Path) -> list[str]:
    return re.findall(r">([^<>]+)</text>", figure.read_text(encoding="utf-8"))


def test_names_and_counts(run: Path, tmp_path: Path) -> None:
    """Rows are true classes; a cell without images has no number."""
    evaluate(run, ["ants", "$5 <b>", "bees"], [[1234, 2, 0], [0, 5, 0], [7, 0, 8]])
    write_confusion(run, tmp_path / "a.svg")
    names = ["ants", "$5 &lt;b&gt;", "bees"]
    assert texts(tmp_path / "a.svg") == [*names, "predicted class", *names, "true class", "1,234", "2", "5", "7", "8"]


def test_a_long_name_is_shortened(run: Path, tmp_path: Path) -> None:
    evaluate(run, ["x" * 500, "bees"], [[1, 0], [0, 1]])
    write_confusion(run, tmp_path / "a.svg")
    assert f"{'x' * 39}…" in texts(tmp_path / "a.svg")


def test_many_classes_have_neither(run: Path, tmp_path: Path) -> None:
    for count, expected in ((20, 20 + 40 + 2), (50, 100 + 2)):
        diagonal = [[int(row == column) for column in range(count)] for row in range(count)]
        evaluate(run, [f"class {number}" for number in range(count)], diagonal)
        write_confusion(run, tmp_path / f"{count}.svg")
        assert len(texts(tmp_path / f"{count}.svg")) == expected
    evaluate(run, [f"class {number}" for number in range(51)], [[0] * 51] * 51)
    write_confusion(run, tmp_path / "51.svg")
    assert not any(text.startswith("class ") for text in texts(tmp_path / "51.svg"))


def test_what_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run has no evaluation\.json, which the confusion matrix is drawn from; train"):
        write_confusion(run, tmp_path / "a.pdf")
    for names in (["ants", "bees"], []):
        evaluate(run, names, [[1, 0]])
        with pytest.raises(RunError, match=r"evaluation\.json is damaged \(ValueError\); train again$"):
            write_confusion(run, tmp_path / "a.pdf")
    with pytest.raises(UsageError, match=r"^--confusion .*a\.eps: expected a name that ends in \.png, \.pdf or \.svg"):
        write_confusion(run, tmp_path / "a.eps", "--confusion")
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        write_confusion(tmp_path, tmp_path / "a.pdf")
    assert not (tmp_path / "a.pdf").exists()
