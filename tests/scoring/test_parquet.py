"""Rows as a Parquet file, read back by pyarrow."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from support.score_rows import ALL_COLUMNS, BAD, FEATURES, GOOD, PREDICTIONS, write_rows

from finetune.classifier import Classifier, Features
from finetune.errors import UsageError
from finetune.model import Model
from finetune.scoring.choose_format import choose_format
from finetune.scoring.score_options import ScoreOptions


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


def test_parquet(classifier: Classifier, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "rows.parquet"
    write_rows(choose_format(out, classifier, ALL_COLUMNS), out, [PREDICTIONS[:1], PREDICTIONS[1:]])
    table = pq.read_table(out)
    assert json.loads(table.schema.metadata[b"finetune"]) == {"class_names": ["red", "green", "blue"]}
    good, bad, unsure = table.to_pylist()
    assert good == {
        **GOOD.to_json(), "abstained": False, "probabilities": [0.2, 0.1, 0.7], "error": None,
    }  # fmt: skip
    assert bad == {**dict.fromkeys(("predictions", "abstained", "probabilities")), **BAD.to_json()}
    assert unsure["abstained"] is True
    assert "probabilities" not in format_names(classifier, tmp_path)


def format_names(classifier: Classifier, tmp_path: Path) -> list[str]:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "few" / "rows.parquet"
    out.parent.mkdir()
    write_rows(choose_format(out, classifier, ScoreOptions()), out, [PREDICTIONS])
    names: list[str] = pq.read_schema(out).names
    return names


def test_features_as_parquet(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("finetune.scoring.parquet.ROW_GROUP", 1)
    out = tmp_path / "fc7.parquet"
    write_rows(choose_format(out, classifier, ScoreOptions(features=("fc7",))), out, [FEATURES[:2], FEATURES[2:]])
    file = pq.ParquetFile(out)
    assert file.metadata.num_row_groups == 2
    assert json.loads(file.schema_arrow.metadata[b"finetune"]) == {"layer": "fc7", "shape": [8]}
    assert file.read().to_pylist() == [
        {"path": "a.png", "features": list(range(8)), "error": None},
        {"path": "na\N{REPLACEMENT CHARACTER}me.png", "features": None, "error": "the file is empty"},
        {"path": "c.png", "features": [0.5] * 8, "error": None},
    ]


def test_several_layers_are_a_column_each(classifier: Classifier, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "acts.parquet"
    options = ScoreOptions(features=("fc7:linear", "fc6"), dtype="float16")
    values = {"fc6": np.full(8, 2, np.float32), "fc7:linear": np.full(8, -0.5, np.float32)}
    write_rows(choose_format(out, classifier, options), out, [[Features("a", values), Features("b", error="x")]])
    table = pq.read_table(out)
    assert json.loads(table.schema.metadata[b"finetune"]) == {"layers": {"fc7:linear": [8], "fc6": [8]}}
    assert table.to_pylist() == [
        {"path": "a", "fc7:linear": [-0.5] * 8, "fc6": [2.0] * 8, "error": None},
        {"path": "b", "fc7:linear": None, "fc6": None, "error": "x"},
    ]


def test_without_pyarrow(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "finetune.scoring.parquet", raising=False)
    with pytest.raises(UsageError, match=r"writing \.parquet needs pyarrow; pip install 'pyarrow>=18.0', or choose"):
        choose_format(Path("rows.parquet"), classifier, ScoreOptions())
