"""A linear probe from folder to run: the fit, what judges it, and the model that is written."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl
from support.probes import both_views, by_scikit_learn, features_of, manifest, with_val

from finetune.classifier import load
from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.export.export import export
from finetune.metrics import softmax
from finetune.model import Model, load_model
from finetune.runs.read_run import read_probe
from finetune.system.digest import sha256
from finetune.training import choose_probe as choose_probe_module
from finetune.training.choose_probe import folds_of
from finetune.training.probe_folds import draw
from finetune.training.train import dry_run, resume, train

SAME = ("model.safetensors", "metrics.json", "manifest.csv", "skipped.csv")


@pytest.fixture
def config(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> TrainConfig:
    data = image_folder(stripes=10, dots=10, waves=10)
    return TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "run", probe="auto")


def records_of(rows: list[dict[str, str]], model: Model) -> list[Record]:
    """Return the records that the lines of a manifest are of."""
    return [
        Record(path, model.class_names.index(row["label"]), "train", sha256(path.read_bytes()))
        for row in rows
        for path in [Path(row["path"])]
    ]


def test_the_new_layer_is_scikit_learns(config: TrainConfig, tiny_model: Model) -> None:
    """On the classifier's features of all images and their mirror images; all other layers are as loaded."""
    run = train(config)
    (chosen,) = (row for row in read_probe(run) if row["chosen"] == "True")
    model = load_model(run.model)
    rows = manifest(run)
    assert [row["split"] for row in rows] == ["train"] * 30
    paths = [Path(row["path"]) for row in rows]
    labels = np.array([model.class_names.index(row["label"]) for row in rows])
    features = both_views(paths, tiny_model, chosen["layer"])
    expected = by_scikit_learn(features, labels, chosen["strength"])
    kernel, bias = model.weights["fc8/kernel"], model.weights["fc8/bias"]
    np.testing.assert_allclose(
        softmax(features @ kernel + bias), expected.predict_proba(features), atol=2e-3
    )  # fmt: skip
    scale = np.abs(expected.coef_).max()
    np.testing.assert_allclose(kernel, expected.coef_.T, atol=0.01 * scale)
    np.testing.assert_allclose(bias - bias.mean(), expected.intercept_ - expected.intercept_.mean(), atol=0.02)
    assert kernel.dtype == bias.dtype == np.float32
    for name, value in model.weights.items():
        if not name.startswith("fc8/"):
            np.testing.assert_array_equal(value, tiny_model.weights[name])


def test_the_model_in_use_has_the_probabilities_of_the_fit(config: TrainConfig, tiny_model: Model) -> None:
    """`load` reads the network that is cut, and `predict` divides by the temperature."""
    run = train(replace(config, probe="fc6"))
    classifier = load(run.path)
    paths = [Path(row["path"]) for row in manifest(run)]
    weights = classifier.model.weights
    assert [layer.name for layer in classifier.model.network.layers[-2:]] == ["fc6", "fc8"]
    assert {name.split("/")[0] for name in weights} == {f"conv{n}" for n in range(1, 6)} | {"fc6", "fc8"}
    logits = features_of(paths, tiny_model, "fc6") @ weights["fc8/kernel"] + weights["fc8/bias"]
    expected = softmax(logits, classifier.temperature)
    for predicted, row in zip(classifier.predict(paths), expected, strict=True):
        assert predicted.probabilities is not None
        np.testing.assert_allclose(predicted.probabilities, row, atol=1e-4)


def test_the_metrics_are_of_images_held_out_in_turn(config: TrainConfig) -> None:
    run = train(config)
    (chosen,) = (row for row in read_probe(run) if row["chosen"] == "True")
    assert [row["layer"] for row in read_probe(run)] == ["pool5", "fc6", "fc7"]
    metrics = run.metrics()
    assert metrics["judged"] == "training images, held out in turn"
    assert (metrics["probe"], metrics["strength"]) == (chosen["layer"], chosen["strength"])
    assert metrics["val_accuracy"] == pytest.approx(chosen["accuracy"])
    model = load_model(run.model)
    if model.temperature == 1:
        assert metrics["val_loss"] == pytest.approx(chosen["log_loss"])
    else:
        assert metrics["val_loss"] < chosen["log_loss"]
    assert metrics["images"] == {"train": 30, "skipped": 0}
    assert metrics["frozen"]["changed"] == []
    assert metrics["interrupted"] is False
    assert run.config()["probe"] == chosen["layer"]
    assert json.loads((run.path / "evaluation.json").read_text())["images"] == 30
    assert "probe on" in (run.path / "plan.txt").read_text()
    assert not (run.path / "history.csv").exists()


def test_validation_images_judge_and_choose_nothing(config: TrainConfig) -> None:
    """With other images to validate, the weights, the layer and the temperature are the same."""
    data = with_val(config.data)
    first = train(config)
    classifier = load(first.path)
    val = sorted((data / "val").rglob("*.png"))
    assert first.metrics()["judged"] == "validation images"
    assert first.metrics()["images"] == {"train": 21, "val": 9, "skipped": 0}
    found = np.stack([one.probabilities for one in classifier.predict(val) if one.probabilities is not None])
    labels = np.array([classifier.class_names.index(path.parent.name) for path in val])
    assert first.metrics()["val_accuracy"] == pytest.approx((found.argmax(axis=1) == labels).mean())
    losses = -np.log(found[np.arange(9), labels])
    assert first.metrics()["val_loss"] == pytest.approx(losses.mean(), rel=1e-3)
    assert json.loads((first.path / "evaluation.json").read_text())["images"] == 9

    waves, dots = data / "val" / "waves", data / "val" / "dots"
    waves.rename(data / "other")
    dots.rename(waves)
    (data / "other").rename(dots)
    (data / "val" / "stripes" / "7.png").unlink()
    second = train(replace(config, out=config.data.parent / "second"))
    assert second.metrics()["val_loss"] != first.metrics()["val_loss"]
    one, other = load_model(first.model), load_model(second.model)
    assert one.weights.keys() == other.weights.keys()
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[name])
    assert one.temperature == other.temperature
    choices = [
        [{name: value for name, value in row.items() if name != "seconds"} for row in read_probe(run)]
        for run in (first, second)
    ]
    assert choices[0] == choices[1]


def test_equal_images_give_equal_files_in_any_order_with_any_threads(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy lists its images backwards; it is fitted with other threads, and without the cache."""
    first = train(config)
    lines = [f"{path},{path.parent.name}\n" for path in sorted(config.data.rglob("*.png"))[::-1]]
    listed = config.data / "list.csv"
    listed.write_text("path,label\n" + "".join(lines))
    monkeypatch.setattr("os.cpu_count", lambda: 5)
    with threadpoolctl.threadpool_limits(limits=1):
        second = train(replace(config, data=listed, out=config.data.parent / "second", cache=False))
    assert manifest(first) == manifest(second)[::-1], "the order is another"
    for name in ("model.safetensors", "metrics.json"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes(), name


def test_of_many_images_some_choose_and_all_are_fitted_on(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, break_png: Callable[[Path], None], tiny_model: Model
) -> None:
    """The first 15/31 of each class choose, 5, 5 and 6; a broken image with a late digest is found by the fit.

    With too many images to compare, none is decoded before. The metrics are of all 30: each by scikit-learn's fit to
    the images of other folds, with the strength chosen.
    """
    monkeypatch.setattr(choose_probe_module, "draw", lambda labels, digests: draw(labels, digests, most=15))
    monkeypatch.setattr("finetune.check.copies_together.MOST_IMAGES", 10)
    late = config.data / "waves" / "late.png"
    break_png(late)
    content = late.read_bytes()
    late.write_bytes(next(more for n in range(10**6) if sha256(more := content + b"%d" % n).startswith("fff")))
    run = train(config)
    assert "(on 16 images that the probe did not see" in (run.path / "plan.txt").read_text()
    assert json.loads((run.path / "evaluation.json").read_text())["images"] == 30
    assert run.metrics()["images"] == {"train": 30, "skipped": 1}
    model, rows = load_model(run.model), manifest(run)
    features = both_views([Path(row["path"]) for row in rows], tiny_model, run.metrics()["probe"])
    labels = np.array([model.class_names.index(row["label"]) for row in rows])
    expected = by_scikit_learn(features, labels, run.metrics()["strength"]).predict_proba(features)
    logits = features @ model.weights["fc8/kernel"] + model.weights["fc8/bias"]
    np.testing.assert_allclose(softmax(logits), expected, atol=2e-3)
    folds = folds_of(Dataset(tuple(records_of(rows, model)), model.class_names), records_of(rows, model))
    assert sorted(np.bincount(folds)) == [6] * 5
    held_out = np.empty((30, 3))
    for fold in range(5):
        inside, rows_inside = folds != fold, np.repeat(folds != fold, 2)
        fitted = by_scikit_learn(features[rows_inside], labels[inside], run.metrics()["strength"])
        held_out[~inside] = fitted.predict_proba(features[::2][~inside])
    assert run.metrics()["val_accuracy"] == pytest.approx((held_out.argmax(axis=1) == labels).mean())
    if model.temperature == 1:
        assert run.metrics()["val_loss"] == pytest.approx(-np.log(held_out[np.arange(30), labels]).mean(), abs=2e-3)
    before = {name: (run.path / name).read_bytes() for name in SAME}
    resume(run.path)
    assert before == {name: (run.path / name).read_bytes() for name in SAME}


def test_more_rows_than_memory_holds_give_the_same_probabilities(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(replace(config, probe="pool5"))
    monkeypatch.setattr("finetune.training.probe_fit.MOST_ROWS", 10)
    blocks = train(replace(config, probe="pool5", out=config.data.parent / "blocks"))
    paths = sorted(config.data.rglob("*.png"))
    found = [[one.probabilities for one in load(run.path).predict(paths)] for run in (whole, blocks)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)  # type: ignore[arg-type]
    assert (whole.path / "model.safetensors").read_bytes() != (blocks.path / "model.safetensors").read_bytes()


def test_a_split_that_is_asked_for_judges(config: TrainConfig) -> None:
    """A third of each class, chosen by digest as for training by gradient, and no fold has any of it."""
    run = train(replace(config, val_fraction=0.3))
    assert run.metrics()["judged"] == "validation images"
    assert run.metrics()["images"] == {"train": 21, "val": 9, "skipped": 0}
    by_gradient = train(replace(config, probe=None, skip=("fc8",), epochs=1, val_fraction=0.3, overwrite=True))
    assert by_gradient.metrics()["images"] == {"train": 21, "val": 9, "skipped": 0}


def test_a_run_by_gradient_is_replaced_whole(config: TrainConfig) -> None:
    train(replace(config, probe=None, epochs=1))
    run = train(replace(config, overwrite=True, probe="fc7"))
    names = {path.name for path in run.path.iterdir()}
    assert not names & {"history.csv", "checkpoint", "pending.json", ".new"}
    assert {"probe.csv", "model.safetensors", "metrics.json", "report.html", "plan.txt", "manifest.csv"} <= names


def test_dry_run_chooses_and_writes_no_run(config: TrainConfig, tmp_path: Path) -> None:
    text = dry_run(config)
    assert "probe on" in text
    assert "chosen" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["npy", "onnx"])
def test_the_model_is_exported(config: TrainConfig, tmp_path: Path, format: Any) -> None:
    """The export checks that its files predict as the model does."""
    if format == "onnx":
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
    run = train(replace(config, probe="pool5"))
    shutil.copy(run.model, tmp_path / "alone.safetensors")
    export(str(tmp_path / "alone.safetensors"), format, tmp_path / "out")
    assert any(path.suffix == f".{format}" for path in (tmp_path / "out").iterdir())


def test_one_pass_over_training_and_validation_images(
    config: TrainConfig, decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All features are computed before the choice, and not one image is decoded again; of more images than are drawn,
    validation images wait for the choice, so that their features after the other layers are not computed.
    """
    with_val(config.data)
    train(config)
    assert sorted(decoded) == sorted(config.data.rglob("*.png"))
    decoded.clear()
    monkeypatch.setattr("finetune.training.choose_probe.draw", partial(draw, most=15))
    dry_run(replace(config, out=config.out.with_name("other"), cache=False))
    assert len(decoded) == 15
