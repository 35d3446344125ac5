"""Rows as files: known rows in every format, read back by another program."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import Classifier, Features, Prediction, Score
from finetune.errors import UsageError
from finetune.model import Model
from finetune.scoring.formats import Format
from finetune.scoring.rows import ScoreOptions, ScoreRow
from finetune.scoring.score import choose_format

GOOD = Prediction(
    Path("a,b.png"),
    (Score(2, "blue", 0.7), Score(0, "red", 0.2)),
    probabilities=np.array([0.2, 0.1, 0.7]),
)
BAD = Prediction("http://host/x.jpg", error="the server answers 404, expected 200")
UNSURE = Prediction(
    Path("-1+1.jpg"),
    (Score(0, "red", 0.4), Score(1, "green", 0.35)),
    abstained=True,
    probabilities=np.array([0.4, 0.35, 0.25]),
)
PREDICTIONS: list[ScoreRow] = [GOOD, BAD, UNSURE]
ALL = ScoreOptions(top=2, probabilities=True, abstain_below=0.5)


def write(form: Format, out: Path, batches: list[list[ScoreRow]]) -> None:
    """Write rows as `Output` does, without its state."""
    parts = [out.with_name(f"{name}.part") for name in form.names]
    for part, data in zip(parts, form.begin(), strict=True):
        part.write_bytes(data)
    for batch in batches:
        for part, data in zip(parts, form.encode(batch), strict=True):
            with part.open("ab") as file:
                file.write(data)
    for name, part in zip(form.names, parts, strict=True):
        form.finish(part, out.with_name(name), sum(map(len, batches)))
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(form.names)


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


def test_json_lines(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    write(choose_format(out, classifier, ScoreOptions(top=2)), out, [PREDICTIONS[:2], PREDICTIONS[2:]])
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
    write(choose_format(out, classifier, ALL), out, [PREDICTIONS])
    rows = list(map(json.loads, out.read_text().splitlines()))
    assert [row.get("probabilities") for row in rows] == [[0.2, 0.1, 0.7], None, [0.4, 0.35, 0.25]]


def test_csv(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    write(choose_format(out, classifier, ALL), out, [PREDICTIONS])
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
    write(choose_format(out, classifier, ScoreOptions(top=1)), out, [PREDICTIONS])
    assert out.read_text().splitlines()[:2] == ["path,index,label,probability,error", '"a,b.png",2,blue,0.7,']
    form = choose_format(out, classifier, ScoreOptions(top=50))
    assert form.begin()[0].count(b"label") == 3, "no more columns than classes"


@pytest.mark.parametrize("name", ["=1+1", "+1-1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "=cmd|' /C calc'!A0"])
def test_no_cell_is_a_formula(name: str, classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    row = Prediction(Path(name), (Score(0, name, 0.5),), error=None)
    write(choose_format(out, classifier, ScoreOptions(top=1)), out, [[row, Prediction(Path("x"), error=name)]])
    with out.open(newline="") as file:
        _, first, second = csv.reader(file)
    assert (first[0], first[2], second[-1]) == (f"'{name}", f"'{name}", f"'{name}")


def test_numbers_stay_numbers(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    row = Prediction(Path("x"), (Score(0, "-1", -1e-5),))
    write(choose_format(out, classifier, ScoreOptions(top=1)), out, [[row]])
    assert out.read_text().splitlines()[1] == "x,0,-1,-1e-05,"


def test_parquet(classifier: Classifier, tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "rows.parquet"
    write(choose_format(out, classifier, ALL), out, [PREDICTIONS[:1], PREDICTIONS[1:]])
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
    write(choose_format(out, classifier, ScoreOptions()), out, [PREDICTIONS])
    names: list[str] = pq.read_schema(out).names
    return names


FEATURES: list[ScoreRow] = [
    Features(Path("a.png"), np.arange(8, dtype=np.float32)),
    Features(Path("na\udcffme.png"), error="the file is empty"),
    Features(Path("c.png"), np.full(8, 0.5, np.float32)),
]


def test_features_as_an_array(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "fc7.npy"
    write(choose_format(out, classifier, ScoreOptions(features="fc7")), out, [FEATURES[:1], FEATURES[1:]])
    array = np.load(out)
    assert (array.dtype, array.shape) == (np.float32, (3, 8))
    np.testing.assert_array_equal(array, [np.arange(8), np.full(8, np.nan), np.full(8, 0.5)])
    assert (tmp_path / "fc7.npy.csv").read_bytes() == b"path,error\na.png,\nna\xffme.png,the file is empty\nc.png,\n"


def test_maps_keep_their_shape(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "pool5.npy"
    options = ScoreOptions(features="pool5")
    shape = classifier.feature_shape("pool5")
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    write(choose_format(out, classifier, options), out, [[Features(None, values), Features(None, error="x")]])
    array = np.load(out)
    np.testing.assert_array_equal(array[0], values)
    assert np.isnan(array[1]).all()


def test_the_header_of_an_array_has_one_length(classifier: Classifier, tmp_path: Path) -> None:
    form = choose_format(tmp_path / "x.npy", classifier, ScoreOptions(features="fc7"))
    part = tmp_path / "x.npy.part"
    part.write_bytes(form.begin()[1] + b"values")
    form.finish(part, tmp_path / "x.npy", 10**12)
    assert (tmp_path / "x.npy").read_bytes()[len(form.begin()[1]) :] == b"values"


def test_features_as_parquet(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("finetune.scoring.parquet.ROW_GROUP", 1)
    out = tmp_path / "fc7.parquet"
    write(choose_format(out, classifier, ScoreOptions(features="fc7")), out, [FEATURES[:2], FEATURES[2:]])
    file = pq.ParquetFile(out)
    assert file.metadata.num_row_groups == 2
    assert json.loads(file.schema_arrow.metadata[b"finetune"]) == {"layer": "fc7", "shape": [8]}
    assert file.read().to_pylist() == [
        {"path": "a.png", "features": list(range(8)), "error": None},
        {"path": "na\N{REPLACEMENT CHARACTER}me.png", "features": None, "error": "the file is empty"},
        {"path": "c.png", "features": [0.5] * 8, "error": None},
    ]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rows.json", {}, r"--out rows\.json: expected a name that ends in \.jsonl, \.csv, \.parquet, \.npy"),
        ("rows", {}, r"--out rows: expected a name that ends in"),
        ("rows.npy", {}, r"--out rows\.npy: \.npy holds features; add --features LAYER"),
        ("rows.csv", {"features": "fc7"}, r"--out rows\.csv: features are .*; choose \.npy or \.parquet"),
        (
            "x.npy",
            {"features": "fc9"},
            r"alexnet has no layer 'fc9' \(did you mean fc8\?\); its layers are conv1, norm1,",
        ),
        ("x.npy", {"features": "fc7", "pool": "mean"}, r"the output of fc7 is a vector, so there is nothing to pool"),
    ],
)
def test_what_a_file_cannot_hold(name: str, options: dict[str, str], message: str, classifier: Classifier) -> None:
    with pytest.raises(UsageError, match=message):
        choose_format(Path(name), classifier, ScoreOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "--top must be 1 or more, not 0"),
        ({"batch_size": 0}, "--batch-size must be 1 or more, not 0"),
        ({"abstain_below": 1.5}, "--abstain-below must lie between 0 and 1, not 1.5"),
        ({"pool": "mean"}, "--pool is only for --features LAYER; omit it"),
        ({"features": "fc7", "ten_crop": True}, "--features writes no classes; omit --ten-crop"),
        ({"features": "fc7", "probabilities": True}, "--features writes no classes; omit --probabilities"),
        ({"features": "fc7", "abstain_below": 0.5}, "--features writes no classes; omit --abstain-below"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ScoreOptions(**options)  # type: ignore[arg-type]


def test_without_pyarrow(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "finetune.scoring.parquet", raising=False)
    with pytest.raises(UsageError, match=r"writing \.parquet needs pyarrow; pip install 'pyarrow>=18.0', or choose"):
        choose_format(Path("rows.parquet"), classifier, ScoreOptions())
