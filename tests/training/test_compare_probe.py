"""What a linear probe on the features of a training by gradient reaches: one line, where it is cheap."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.probes import by_scikit_learn, features_of

from finetune.config import TrainConfig
from finetune.data.folder import read_folder
from finetune.model import Model
from finetune.training import compare_probe
from finetune.training.choose_probe import folds_of, training_images
from finetune.training.train import train

LINE = re.compile(
    r"for comparison, a linear probe on the same features \((\w+)\) reaches (\d+\.\d) ± (\d+\.\d) %, "
    r"cross-validated on (\d+) training images"
)


@pytest.fixture
def config(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> TrainConfig:
    data = image_folder(stripes=15, dots=15, waves=15)
    return TrainConfig(
        data=data, weights=str(tiny_weights), out=tmp_path / "run", epochs=1, overwrite=True, precision="float32"
    )


def line_of(config: TrainConfig, caplog: pytest.LogCaptureFixture) -> tuple[str, ...] | None:
    caplog.clear()
    with caplog.at_level(logging.INFO):
        train(config)
    found = LINE.search(caplog.text)
    return found.groups() if found else None


@pytest.mark.parametrize(("options", "layer"), [({}, "fc7"), ({"skip": ("fc6", "fc7", "fc8")}, "pool5")])
def test_the_accuracy_is_that_of_the_best_strength(
    config: TrainConfig, tiny_model: Model, caplog: pytest.LogCaptureFixture, options: dict[str, tuple[str, ...]],
    layer: str,
) -> None:  # fmt: skip
    """By scikit-learn's fit to the classifier's features of all images of other folds."""
    found = line_of(replace(config, **options), caplog)  # type: ignore[arg-type]
    dataset = read_folder(config.data)
    records = training_images(dataset)
    features = features_of([record.path for record in records], tiny_model, layer).reshape(len(records), -1)
    labels, folds = np.array([record.label for record in records]), folds_of(dataset, records)
    results = []
    for strength in (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        probabilities = np.empty((len(records), 3))
        squares = np.var(features, axis=0).sum()
        for fold in np.unique(folds):
            inside = features[folds != fold]
            fitted = by_scikit_learn(
                inside, labels[folds != fold], strength * squares / np.var(inside, axis=0).sum(), 1
            )
            probabilities[folds == fold] = fitted.predict_proba(features[folds == fold])
        losses = -np.log(probabilities[np.arange(len(records)), labels])
        results.append((losses.mean(), (probabilities.argmax(axis=1) == labels).mean()))
    accuracy = min(results)[1]
    error = (accuracy * (1 - accuracy) / 36) ** 0.5
    assert found == (layer, f"{100 * accuracy:.1f}", f"{100 * error:.1f}", "36")


def test_only_where_it_is_cheap(
    config: TrainConfig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert line_of(replace(config, skip=("fc8",), cache=False), caplog) is None
    assert line_of(replace(config, train=("all",)), caplog) is None
    assert line_of(replace(config, skip=("conv5", "fc6", "fc7", "fc8")), caplog) is None
    monkeypatch.setattr(compare_probe, "MOST_COMPARED", 35)
    assert line_of(config, caplog) is None


def test_it_changes_no_file(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(config)
    before = {name: (run.path / name).read_bytes() for name in ("model.safetensors", "metrics.json", "manifest.csv")}
    monkeypatch.setattr(compare_probe, "MOST_COMPARED", 0)
    train(config)
    assert before == {name: (run.path / name).read_bytes() for name in before}


@pytest.mark.parametrize("why", ["one image each", "the same images in both classes"])
def test_a_training_that_no_probe_could_be_compared_with_ends_well(
    config: TrainConfig, image_folder: Callable[..., Path], caplog: pytest.LogCaptureFixture, why: str
) -> None:
    """One image of each class is trained on; or none is of one class alone."""
    data = image_folder("few", stripes=2, dots=2)
    if why != "one image each":
        for path in (data / "dots").iterdir():
            path.write_bytes((data / "stripes" / path.name).read_bytes())
    assert line_of(replace(config, data=data, skip=("fc8",), check=False), caplog) is None
    assert config.out is not None
    assert (config.out / "report.html").exists()
