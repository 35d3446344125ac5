"""The rows that the options ask for."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.errors import UsageError
from finetune.model import Model
from finetune.prediction import Features, Prediction
from finetune.scoring.rows import compute_rows, layer_values
from finetune.scoring.score_options import ScoreOptions


def test_rows_are_predictions_or_features(tiny_model: Model, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    inputs = [*sorted(image_folder(stripes=2).rglob("*.png")), tmp_path / "gone.png", tmp_path]  # a folder is one row
    classifier = Classifier(tiny_model)
    rows = list(compute_rows(classifier, inputs, ScoreOptions(top=2, abstain_below=1.0)))
    assert [row.path for row in rows] == inputs
    assert [len(row.scores) for row in rows if isinstance(row, Prediction)] == [2, 2, 0, 0]
    assert [row.abstained for row in rows if isinstance(row, Prediction)] == [True, True, False, False]
    assert rows == list(classifier.predict(inputs, 2, folders=False, abstain_below=1.0))
    rows = list(compute_rows(classifier, inputs, ScoreOptions(features=("conv5",), pool="mean")))
    for row, expected in zip(rows, classifier.features(inputs, "conv5", folders=False, pool="mean"), strict=True):
        assert isinstance(row, Features)
        assert (row.path, row.error) == (expected.path, expected.error)
        if expected.values is not None:
            assert row.values is not None
            np.testing.assert_array_equal(row.values["conv5"], expected.values)


def test_options_reach_the_classifier(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among them no more classes than there are."""

    def predict(
        _: Classifier, inputs: Iterable[Path], top: int, batch_size: int, **options: object
    ) -> Iterator[Prediction]:
        assert (list(inputs), top, batch_size) == ([Path("x")], 3, 7)
        assert options == {"folders": False, "ten_crop": True, "abstain_below": 0.25}
        yield Prediction(Path("x"))

    monkeypatch.setattr(Classifier, "predict", predict)
    options = ScoreOptions(top=50, batch_size=7, ten_crop=True, abstain_below=0.25)
    assert len(list(compute_rows(Classifier(tiny_model), [Path("x")], options))) == 1


def test_values_of_a_layer() -> None:
    rows = [Features("a", {"fc7": np.float32([0.1, -65504])}), Features("b", error="x"), Prediction("c")]
    for dtype in ("float32", "float16"):
        found = np.stack(list(layer_values(rows, "fc7", (2,), dtype)))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.array([[0.1, -65504], [np.nan] * 2, [np.nan] * 2], dtype))


def test_float16_is_never_infinite() -> None:
    row = Features(Path("a.png"), {"conv1": np.float32([1, -70000])})
    with pytest.raises(
        UsageError, match=r"float16 holds numbers up to 65,504, but conv1 of a\.png reaches 70,000; use --dtype float32"
    ):
        list(layer_values([row], "conv1", (2,), "float16"))
