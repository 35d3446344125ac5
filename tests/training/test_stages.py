"""Stages: the metrics are those of the model that is written, in whichever stage its epoch is."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.config import TrainConfig
from finetune.evaluation.evaluate import evaluate
from finetune.model import load_model
from finetune.runs.run import Run
from finetune.training import checkpoint
from finetune.training.head import Head
from finetune.training.state import State
from finetune.training.train import resume, train

FILES = ("model.safetensors", "evaluation.json", "history.csv", "metrics.json", "manifest.csv")


@pytest.fixture
def config(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> TrainConfig:
    """Three stages; the later ones move fc6 and fc7 far, and are made to look worse."""
    measure = Head.evaluate
    monkeypatch.setattr(
        Head, "evaluate", lambda head, data: (measure(head, data)[0], 0.5 if len(head._variables) == 2 else 0.0)
    )
    return TrainConfig(
        data=image_folder(stripes=10, dots=10), weights=str(tiny_weights), out=tmp_path / "run", val_fraction=0.5,
        stages="fc8:2,fc7-fc8:1,fc6-fc8:2", learning_rate=0.01, layer_lr=("fc6=100", "fc7=100"),
    )  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}])
def test_the_best_epoch_in_the_first_stage(config: TrainConfig, tiny_weights: Path, options: dict[str, float]) -> None:
    run = train(replace(config, **options))
    assert run.metrics()["best_epoch"] <= 2
    before, after = load_model(tiny_weights).weights, load_model(run.model).weights
    assert [name for name in before if not np.array_equal(before[name], after[name])] == ["fc8/kernel", "fc8/bias"]
    said = json.loads((run.path / "evaluation.json").read_text())
    found = evaluate(run.path)
    assert (said["top1"], said["confusion"]) == (found.top1, found.confusion.tolist())
    for name in ("temperature", "loss_before", "loss_after"):
        assert said[name] == pytest.approx(getattr(found, name), rel=1e-3), name


def test_resumed_in_the_second_stage(config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped after the fourth epoch, as SIGKILL would: the end is the same, to the bit."""
    whole = train(replace(config, out=tmp_path / "whole"))
    save = checkpoint.save_state

    def stop_after_four(path: Path, state: State) -> None:
        save(path, state)
        if len(state.history) == 4:
            raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_state", stop_after_four)
        with pytest.raises(SystemExit):
            train(config)
    assert not Run(tmp_path / "run").model.exists()
    resumed = resume(tmp_path / "run")
    assert resumed.metrics()["best_epoch"] <= 2
    for name in FILES:
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
