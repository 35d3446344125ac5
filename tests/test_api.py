"""`finetune.train`: the options by name or as a TrainConfig, and a help that lists all of them."""

import inspect
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import pytest

import finetune
from finetune.api import _kind
from finetune.config import TrainConfig
from finetune.errors import UsageError
from finetune.runs.run import Run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[TrainConfig]:
    """The configs that a training was called with; nothing is trained."""
    configs: list[TrainConfig] = []

    def train(config: TrainConfig) -> Run:
        configs.append(config)
        return Run(Path("run"))

    monkeypatch.setattr("finetune.training.train.train", train)
    return configs


def test_options_by_name_and_as_a_config(trained: list[TrainConfig]) -> None:
    """Text is taken for a path, and for layers separated by commas."""
    config = TrainConfig(data=Path("images"), out=Path("run"), skip=("fc7", "fc8"), learning_rate=1.0, flip=True)
    assert finetune.train(config).path == Path("run")
    finetune.train(data="images", out="run", skip="fc7,fc8", learning_rate=1, flip=True)
    finetune.train(data=Path("images"), out=Path("run"), skip=["fc7", "fc8"], learning_rate=1.0, flip=True)
    finetune.train(data="images", out="run", skip=("fc7", "fc8"), learning_rate=1.0, flip=True)
    assert trained == [config] * 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "images", "epoch": 3}, "unknown option 'epoch' (did you mean epochs?); see finetune train --help"),
        ({"data": "images", "epochs": "3"}, "--epochs is '3'; expected int"),
        ({"data": "images", "epochs": 0}, "--epochs must be 1 or more, not 0"),
        ({"epochs": 3}, "--data is missing: name a folder with one folder of images per class"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, trained: list[TrainConfig]) -> None:
    with pytest.raises(UsageError) as error:
        finetune.train(**options)
    assert str(error.value) == message
    assert not trained


def test_wrong_calls(trained: list[TrainConfig]) -> None:
    with pytest.raises(UsageError, match=r"^expected a TrainConfig .*, got 'images'; write train\(data=…\)$"):
        finetune.train("images")  # type: ignore[arg-type]
    with pytest.raises(
        UsageError, match=r"^expected a TrainConfig .*, got both; give epochs, seed to the TrainConfig$"
    ):
        finetune.train(TrainConfig(data=Path("images")), epochs=3, seed=1)
    assert not trained


def test_signature_and_help_have_every_option_with_its_help() -> None:
    parameters = inspect.signature(finetune.train).parameters
    assert list(parameters) == ["config", *(option.name for option in fields(TrainConfig))]
    assert (parameters["batch_size"].default, parameters["batch_size"].kind.name) == (32, "KEYWORD_ONLY")
    lines = (finetune.train.__doc__ or "").splitlines()
    words = " ".join(" ".join(lines).split())
    for option in fields(TrainConfig):
        assert any(line.startswith(f"{option.name}: ") for line in lines)
        assert " ".join(option.metadata["help"].split()) in words
    assert "batch_size: int = 32" in lines
    assert "skip: list[str] | str | None = None" in lines
    assert max(map(len, lines)) <= 120


def test_kinds_of_options() -> None:
    assert _kind(Path | None) == "Path | str | None"
    assert _kind(Literal["none", "balanced"] | None) == "'none' | 'balanced' | None"
    assert _kind(bool) == "bool"


def test_the_help_of_the_package_shows_its_functions_without_tensorflow() -> None:
    program = "import sys, finetune; help(finetune); sys.exit('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    functions = shown.partition("\nFUNCTIONS\n")[2]
    assert "    train(config=None, /, *, data, " in functions
    assert "    load(ref: " in functions


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_training_by_name(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> None:
    run = finetune.train(
        data=str(image_folder(stripes=6, dots=6)), weights=str(tiny_weights), out=str(tmp_path / "run")
    )
    (prediction,) = finetune.load(run.path).predict(tmp_path / "images" / "dots" / "0.png")
    assert prediction.label in ("dots", "stripes")


@pytest.mark.slow
def test_a_type_checker_sees_the_types(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\n"
        "import finetune\n"
        "from PIL import Image\n"
        "run: finetune.Run = finetune.train(data='images', skip='fc8')\n"
        "for prediction in finetune.load(run.path).predict([Path('a'), 'b', Image.new('L', (1, 1))]):\n"
        "    label: str = prediction.label\n"
        "    probability: float = prediction.probability\n"
        "finetune.train(3)  # type: ignore[arg-type]\n"
        "label = prediction.probability  # type: ignore[assignment]\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--ignore-missing-imports", "--follow-imports=silent", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout.startswith("Success"), done.stdout
