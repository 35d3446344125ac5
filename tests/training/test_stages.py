"""Stages: the metrics are those of the model that is written, in whichever stage training ends."""

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
from finetune.training.checkpoint import load_progress
from finetune.training.head import Head
from finetune.training.state import State
from finetune.training.train import resume, train
from finetune.training.trainable import LabelledRows

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


def changed(run: Run, tiny_weights: Path) -> list[str]:
    """Return which tensors of the model are not those of the source weights."""
    before, after = load_model(tiny_weights).weights, load_model(run.model).weights
    return [name for name in before if not np.array_equal(before[name], after[name])]


def metrics_are_those_of_the_model(run: Run) -> None:
    """Fail unless evaluation.json says what an evaluation of the model finds."""
    said = json.loads((run.path / "evaluation.json").read_text())
    found = evaluate(run.path)
    assert (said["top1"], said["confusion"]) == (found.top1, found.confusion.tolist())
    for name in ("temperature", "loss_before", "loss_after"):
        assert said[name] == pytest.approx(getattr(found, name), rel=1e-3), name


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}])
def test_the_last_epoch_is_kept_even_if_an_earlier_one_is_better(
    config: TrainConfig, tiny_weights: Path, options: dict[str, float]
) -> None:
    run = train(replace(config, **options))
    metrics = run.metrics()
    assert (metrics["kept"], metrics["best_epoch"], metrics["val_accuracy"]) == ("last", 5, 0.0)
    layers = {name.split("/")[0] for name in changed(run, tiny_weights)}
    assert layers == {"fc6", "fc7", "fc8"}
    metrics_are_those_of_the_model(run)


@pytest.mark.parametrize("options", [{}, {"ema": 0.9}])
def test_interrupted_in_the_first_epoch_of_a_stage(
    config: TrainConfig, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, float]
) -> None:
    """The end of the stage before is kept, its average where there is one, and the resumed run has the same bits."""
    whole = train(replace(config, out=tmp_path / "whole", **options))
    evaluate_head = Head.evaluate

    def interrupt(head: Head, data: LabelledRows) -> tuple[float, float]:
        if len(head._variables) > 2:
            raise KeyboardInterrupt
        return evaluate_head(head, data)

    with monkeypatch.context() as patch:
        patch.setattr(Head, "evaluate", interrupt)
        run = train(replace(config, **options))
    metrics = run.metrics()
    assert (metrics["interrupted"], metrics["best_epoch"], metrics["epochs"]) == (True, 2, 2)
    assert changed(run, tiny_weights) == ["fc8/kernel", "fc8/bias"]
    kept = load_progress(run).whole.kept_weights
    np.testing.assert_array_equal(load_model(run.model).weights["fc8/kernel"], kept["fc8/kernel"])
    metrics_are_those_of_the_model(run)
    resume(run.path)
    for name in FILES:
        assert (run.path / name).read_bytes() == (whole.path / name).read_bytes(), name


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
    for name in FILES:
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name


@pytest.mark.parametrize("labels", ["wrong", "right"])
def test_a_temperature_is_kept_where_it_lowers_the_loss_beyond_noise(
    image_folder: Callable[..., Path], tmp_path: Path, labels: str
) -> None:
    """Two in five validation images are in the other class, which the model does not expect; or none is."""
    image_folder("data/train", stripes=20, dots=20)
    val = image_folder("data/val", stripes=20, dots=20)  # the same images
    if labels == "wrong":
        for number in range(8):
            one, other = val / "stripes" / f"{number}.png", val / "dots" / f"{number}.png"
            one.rename(tmp_path / "kept.png")
            other.rename(one)
            (tmp_path / "kept.png").rename(other)
    config = TrainConfig(
        data=tmp_path / "data", weights="starter", out=tmp_path / "run", skip=("fc8",), epochs=20, check=False
    )
    run = train(config)
    temperature = load_model(run.model).temperature
    said = json.loads((run.path / "evaluation.json").read_text())
    assert said["temperature"] == temperature
    if labels == "right":
        assert temperature == 1
    else:
        assert temperature > 2
        assert said["loss_after"] < 0.8 * said["loss_before"]
