"""Which model is used when there is none given."""

import os
from pathlib import Path

import pytest

from finetune.model import Model, save_model
from finetune.runs.default_model import default_model


def test_default(tiny_model: Model, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest run, else the published AlexNet if it is here, else the starter."""
    monkeypatch.chdir(tmp_path)
    assert default_model() == ("starter", "as there is no run here, and bvlc_alexnet is not on this machine")
    (tmp_path / "weights").mkdir()
    os.link(tiny_weights, tmp_path / "weights" / "bvlc_alexnet.safetensors")
    assert default_model() == ("bvlc_alexnet", "as there is no run here; --model RUN for another")
    for number, name in enumerate(("b", "c", "a")):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        save_model(run / "model.safetensors", tiny_model)
        os.utime(run / "model.safetensors", (number, number))
        count = f"the newest of {number + 1} runs" if number else "the only run"
        assert default_model() == (Path("runs", name), f"{count} here; --model starter for ImageNet's classes")
    (run / "metrics.json").write_text('{"interrupted": true}')
    assert default_model().why == (
        "the newest of 3 runs here, interrupted before its end (finetune train --resume continues it); "
        "--model starter for ImageNet's classes"
    )
    for metrics in ('{"interrupted": false}', "{"):
        (run / "metrics.json").write_text(metrics)
        assert "interrupted" not in default_model().why
