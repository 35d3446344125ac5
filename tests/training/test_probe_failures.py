"""A linear probe that is killed or resumed, or has images that cannot be read."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.probes import manifest, with_val

from finetune.config import TrainConfig
from finetune.errors import RunError
from finetune.model import load_model
from finetune.runs.read_run import read_probe
from finetune.training import probe as probe_module
from finetune.training import train as train_module
from finetune.training.features import Trunk
from finetune.training.train import resume, train

SAME = ("model.safetensors", "metrics.json", "manifest.csv", "skipped.csv")


@pytest.fixture
def config(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> TrainConfig:
    data = image_folder(stripes=10, dots=10, waves=10)
    return TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "run", probe="auto")


@pytest.mark.parametrize("place", ["choosing", "fitting", "the swap", "the model"])
def test_a_probe_that_was_killed_ends_with_the_same_files(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    whole = train(replace(config, out=tmp_path / "whole"))

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        if place == "choosing":
            patch.setattr(Trunk, "compute", killed)
        elif place == "fitting":
            patch.setattr(probe_module, "fit", killed)
        elif place == "the swap":
            patch.setattr(probe_module, "describe", killed)
        else:
            patch.setattr(train_module, "_write_model", killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # no process tidies up after SIGKILL
        with pytest.raises(SystemExit):
            train(config)
    assert not (tmp_path / "run" / "model.safetensors").exists()
    resumed = resume(tmp_path / "run")
    for name in SAME:
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert [row["layer"] for row in read_probe(resumed)] == ["pool5", "fc6", "fc7"], "what it was chosen from"
    assert not (resumed.path / "pending.json").exists()


def test_a_finished_probe_is_resumed_to_the_same_files(config: TrainConfig) -> None:
    run = train(config)
    before = {name: (run.path / name).read_bytes() for name in (*SAME, "probe.csv", "evaluation.json", "plan.txt")}
    resume(run.path)
    assert before == {name: (run.path / name).read_bytes() for name in before}
    next(config.data.rglob("*.png")).unlink()
    with pytest.raises(RunError, match="the images have changed since the run started, so it cannot be resumed"):
        resume(run.path)


def test_an_image_that_cannot_be_decoded_is_skipped(
    config: TrainConfig, break_png: Callable[[Path], None], tmp_path: Path
) -> None:
    """Its header is valid, so it is found when features are computed; the model is that of the others."""
    without = train(replace(config, out=tmp_path / "without"))
    break_png(config.data / "waves" / "broken.png")
    run = train(config)
    (skipped,) = csv.DictReader((run.path / "skipped.csv").read_text().splitlines())
    assert skipped["path"].endswith("broken.png")
    assert manifest(run) == manifest(without)
    assert run.metrics()["images"] == {"train": 30, "skipped": 1}
    one, other = load_model(run.model), load_model(without.model)
    for name, value in one.weights.items():
        np.testing.assert_array_equal(value, other.weights[name])


def test_a_validation_image_that_cannot_be_decoded_is_skipped(
    config: TrainConfig, break_png: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is chosen with it, so it is found when the layer is fitted: a warning, and it can be resumed."""
    data = with_val(config.data)
    break_png(data / "val" / "waves" / "8.png")
    run = train(config)
    assert f"skipped {data / 'val' / 'waves' / '8.png'}: " in caplog.text
    assert not any(row["path"].endswith("val/waves/8.png") for row in manifest(run))
    assert run.metrics()["images"] == {"train": 21, "val": 8, "skipped": 1}
    assert json.loads((run.path / "evaluation.json").read_text())["images"] == 8
    resume(run.path)
    assert run.metrics()["images"] == {"train": 21, "val": 8, "skipped": 1}
