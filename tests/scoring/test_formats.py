"""Rows as JSON lines, CSV and NumPy arrays: known rows, read back by another program."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from support.score_rows import ALL_COLUMNS, FEATURES, PREDICTIONS, write_rows

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.prediction import Features, Prediction, Score
from finetune.scoring.choose_format import choose_format
from finetune.scoring.score_options import ScoreOptions


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


def test_json_lines(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    write_rows(choose_format(out, classifier, ScoreOptions(top=2)), out, [PREDICTIONS[:2], PREDICTIONS[2:]])
    good, bad, unsure = map(json.loads, out.read_text().splitlines())
    assert good == {
        "path": "a,b.png",
        "predictions": [
            {"index": 2, "label": "blue", "probability": 0.7},
            {"index": 0, "label": "red", "probability": 0.2},
        ],
    }
    assert bad == {"path": "http://host/x.jpg", "error": "the server answers 404, expected 200"}
    assert unsure["abstained"] is True
    write_rows(choose_format(out, classifier, ALL_COLUMNS), out, [PREDICTIONS])
    rows = list(map(json.loads, out.read_text().splitlines()))
    assert [row.get("probabilities") for row in rows] == [[0.2, 0.1, 0.7], None, [0.4, 0.35, 0.25]]


def test_csv(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    write_rows(choose_format(out, classifier, ALL_COLUMNS), out, [PREDICTIONS])
    with out.open(newline="") as file:
        header, good, bad, unsure = csv.reader(file)
    assert header == [
        "path", "index", "label", "probability", "index_2", "label_2", "probability_2", "abstained",
        "p:red", "p:green", "p:blue", "error",
    ]  # fmt: skip
    assert good == ["a,b.png", "2", "blue", "0.7", "0", "red", "0.2", "false", "0.2", "0.1", "0.7", ""]
    assert bad == ["http://host/x.jpg", *[""] * 10, "the server answers 404, expected 200"]
    assert unsure == ["'-1+1.jpg", "", "", "0.4", "1", "green", "0.35", "true", "0.4", "0.35", "0.25", ""]


def test_plain_csv_has_few_columns(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    write_rows(choose_format(out, classifier, ScoreOptions(top=1)), out, [PREDICTIONS])
    assert out.read_text().splitlines()[:2] == ["path,index,label,probability,error", '"a,b.png",2,blue,0.7,']
    format = choose_format(out, classifier, ScoreOptions(top=50))
    assert format.begin()[0].count(b"label") == 3, "no more columns than classes"


@pytest.mark.parametrize("name", ["=1+1", "+1-1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(name: str, classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    row = Prediction(Path(name), (Score(0, name, 0.5),), error=None)
    write_rows(choose_format(out, classifier, ScoreOptions(top=1)), out, [[row, Prediction(Path("x"), error=name)]])
    with out.open(newline="") as file:
        _, first, second = csv.reader(file)
    assert (first[0], first[2], second[-1]) == (f"'{name}", f"'{name}", f"'{name}")


def test_numbers_stay_numbers(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    row = Prediction(Path("x"), (Score(0, "-1", -1e-5),))
    write_rows(choose_format(out, classifier, ScoreOptions(top=1)), out, [[row]])
    assert out.read_text().splitlines()[1] == "x,0,-1,-1e-05,"


def test_features_as_an_array(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "fc7.npy"
    write_rows(choose_format(out, classifier, ScoreOptions(features=("fc7",))), out, [FEATURES[:1], FEATURES[1:]])
    array = np.load(out)
    assert (array.dtype, array.shape) == (np.float32, (3, 8))
    np.testing.assert_array_equal(array, [np.arange(8), np.full(8, np.nan), np.full(8, 0.5)])
    assert (tmp_path / "fc7.npy.csv").read_bytes() == b"path,error\na.png,\nna\xffme.png,the file is empty\nc.png,\n"


def test_maps_keep_their_shape(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "pool5.npy"
    options = ScoreOptions(features=("pool5",))
    shape = classifier.feature_shapes(["pool5"])["pool5"]
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write_rows(
        choose_format(out, classifier, options), out, [[Features(None, {"pool5": values}), Features(None, error="x")]]
    )
    array = np.load(out)
    np.testing.assert_array_equal(array[0], values)
    assert np.isnan(array[1]).all()


def test_the_header_of_an_array_has_one_length(classifier: Classifier, tmp_path: Path) -> None:
    format = choose_format(tmp_path / "x.npy", classifier, ScoreOptions(features=("fc7",)))
    part = tmp_path / "x.npy.part"
    part.write_bytes(format.begin()[1] + b"values")
    format.finish(part, tmp_path / "x.npy", 10**12)
    assert (tmp_path / "x.npy").read_bytes()[len(format.begin()[1]) :] == b"values"


def test_several_layers_are_a_file_each(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "acts.npy"
    values = {"fc6": np.full(8, 2, np.float32), "fc7:linear": np.full(8, -0.5, np.float32)}
    options = ScoreOptions(features=("fc6", "fc7:linear"), dtype="float16")
    write_rows(choose_format(out, classifier, options), out, [[Features(None, error="x")], [Features("b", values)]])
    for name, value in (("fc6", 2), ("fc7_linear", -0.5)):
        array = np.load(tmp_path / f"acts.{name}.npy")
        assert array.dtype == np.float16
        np.testing.assert_array_equal(array, [np.full(8, np.nan), np.full(8, value)])
    assert (tmp_path / "acts.npy.csv").read_text() == "path,error\nNone,x\nb,\n"
