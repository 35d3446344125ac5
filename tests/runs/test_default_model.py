"""Which model is used when there is none given."""

import os
from pathlib import Path

import pytest

from finetune.model import Model, save_model
from finetune.runs.default_model import default_model


def test_default(tiny_model: Model, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest run, else the published AlexNet if it is here, else the starter."""
    monkeypatch.chdir(tmp_path)
    assert default_model() == "starter"
    (tmp_path / "weights").mkdir()
    os.link(tiny_weights, tmp_path / "weights" / "bvlc_alexnet.safetensors")
    assert default_model() == "bvlc_alexnet"
    for number, name in enumerate(("b", "c", "a")):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        save_model(run / "model.safetensors", tiny_model)
        os.utime(run / "model.safetensors", (number, number))
    assert default_model() == str(Path("runs", "a"))
