"""Classifier: which model is meant, and one row for every image."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.classifier import load, softmax
from finetune.data.decode import read_image, to_input
from finetune.errors import RunError, WeightsError
from finetune.model import Model, save_model
from finetune.networks.forward import forward


def test_probabilities(tiny_model: Model, tiny_weights: Path, pictures: Callable[..., Path]) -> None:
    """Every probability is the softmax of the network's output for the decoded picture."""
    paths = sorted(pictures(stripes=2, dots=3).rglob("*.png"))
    predictions = list(load(str(tiny_weights)).predict(paths, top=3, batch_size=2))
    assert [prediction.path for prediction in predictions] == paths
    preprocessing = tiny_model.network.preprocessing
    for prediction in predictions:
        pixels = preprocessing.normalize(to_input(read_image(prediction.path), preprocessing))[None]
        logits = forward(tiny_model.network.layers, tiny_model.weights, pixels).numpy()[0].astype(np.float64)
        expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert sum(score.probability for score in prediction.scores) == pytest.approx(1)
        found = [score.probability for score in prediction.scores]
        assert found == sorted(found, reverse=True)
        assert found == pytest.approx([expected[score.index] for score in prediction.scores], abs=1e-4)
        assert all(("red", "green", "blue")[score.index] == score.label for score in prediction.scores)


def test_batch_size_and_order_do_not_matter(tiny_weights: Path, pictures: Callable[..., Path]) -> None:
    paths = sorted(pictures(stripes=4, dots=3).rglob("*.png"))
    classifier = load(str(tiny_weights))
    one_by_one = {p.path: p.scores for p in classifier.predict(paths, top=3, batch_size=1)}
    for order, size in ((paths, 7), (paths[::-1], 3)):
        for prediction in classifier.predict(order, top=3, batch_size=size):
            expected = {score.label: score.probability for score in one_by_one[prediction.path]}
            assert {s.label: s.probability for s in prediction.scores} == pytest.approx(expected, abs=1e-5)


def test_what_cannot_be_read_keeps_its_row(tiny_weights: Path, pictures: Callable[..., Path], tmp_path: Path) -> None:
    good = next(pictures(stripes=1).rglob("*.png"))
    empty = tmp_path / "empty.jpg"
    empty.touch()
    rows = [p.to_json() for p in load(str(tiny_weights)).predict([empty, good, tmp_path / "gone.png", tmp_path], top=1)]
    assert [row["path"] for row in rows] == [str(empty), str(good), str(tmp_path / "gone.png"), str(tmp_path)]
    assert rows[0]["error"] == "the file is empty"
    assert rows[1]["predictions"][0].keys() == {"index", "label", "probability"}
    assert rows[2]["error"] == "cannot be opened (No such file or directory)"
    assert rows[3]["error"] == "cannot be opened (Is a directory)"


def test_only_errors_need_no_network(tiny_weights: Path, tmp_path: Path) -> None:
    (prediction,) = load(str(tiny_weights)).predict([tmp_path / "gone.png"])
    assert prediction.error


def test_default_is_the_newest_run_then_published_weights_then_the_starter(
    tiny_model: Model,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    assert len(load().class_names) == 200
    assert caplog.messages[-1] == "model: starter"
    (tmp_path / "weights").mkdir()
    os.link(tiny_weights, tmp_path / "weights" / "bvlc_alexnet.safetensors")
    assert load().class_names == tiny_model.class_names
    assert caplog.messages[-1] == "model: bvlc_alexnet"
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_model(tmp_path / "runs" / "mine" / "model.safetensors", tiny_model)
    load()
    assert caplog.messages[-1] == f"model: {Path('runs', 'mine')}"


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"weights 'startr': no such file, and no such name \(did you mean starter\?\)"
    ):
        load("startr")
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        load(str(tmp_path))


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(
        softmax(np.log(np.float32([[1, 3], [2, 2]])) + 500), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-5
    )
