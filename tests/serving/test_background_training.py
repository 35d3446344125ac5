"""A training in a process of its own: what is seen of it, and how it ends."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetune.config import TrainConfig
from finetune.errors import DataError, RunError
from finetune.serving.background_training import BackgroundTraining, TrainingStatus, train_and_send

ImageFolder = Callable[..., Path]


class Held(list[bool]):
    """What a training held, in order."""


class Sent(list[tuple[Any, ...]]):
    """In place of the connection to the server."""

    def send(self, message: tuple[Any, ...]) -> None:
        self.append(message)


def unused(run: Path) -> None:
    pytest.fail(f"{run} was trained")


def ended(training: BackgroundTraining) -> TrainingStatus:
    for _ in range(1200):
        if training.status.stage != "running":
            return training.status
        time.sleep(0.05)
    raise TimeoutError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_an_error_in_the_data_is_one_line_and_holds_nothing_any_longer(image_folder: ImageFolder) -> None:
    held = Held()
    training = BackgroundTraining(unused, held.append)
    assert training.status == TrainingStatus()
    training.start(TrainConfig(data=image_folder(stripes=2)))
    assert (training.status.stage, held) == ("running", [True])
    with pytest.raises(DataError, match="a training is running already; wait until it is done"):
        training.start(TrainConfig(data=Path("images")))
    status = ended(training)
    assert (status.stage, held) == ("failed", [True, False])
    assert status.error.startswith("expected at least two class folders in ")


def test_a_process_that_is_killed(image_folder: ImageFolder) -> None:
    held = Held()
    training = BackgroundTraining(unused, held.append)
    training.start(TrainConfig(data=image_folder(stripes=2, dots=2)))
    (process,) = multiprocessing.active_children()
    process.kill()
    assert ended(training).error == "the training ended before its time (exit code -9); train again"
    assert held == [True, False]
    training.start(TrainConfig(data=Path("nothing")))
    assert ended(training).error.startswith("expected a folder or list of images, but nothing does not exist")


def test_unexpected_errors_are_sent_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: TrainConfig) -> None:
        raise ZeroDivisionError("division by zero")

    _without_signals(monkeypatch)
    monkeypatch.setattr("finetune.training.train.start", fail)
    sent = Sent()
    train_and_send(sent, TrainConfig(data=Path("images")))  # type: ignore[arg-type]
    expected = "unexpected ZeroDivisionError: division by zero; this is a bug in finetune, please report it"
    assert sent == [("failed", expected)]


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: TrainConfig) -> None:
        raise OSError(28, "No space left on device", "runs")

    _without_signals(monkeypatch)
    monkeypatch.setattr("finetune.training.train.start", fail)
    sent = Sent()
    train_and_send(sent, TrainConfig(data=Path("images")))  # type: ignore[arg-type]
    assert sent == [("failed", "runs: No space left on device; fix that and train again")]


def _without_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("signal.signal", "import_for_own_program"):
        monkeypatch.setattr(f"finetune.serving.background_training.{name}", lambda *_: None)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_progress_log_and_run_of_a_whole_training(image_folder: ImageFolder) -> None:
    """The model is used before the report is drawn; one that cannot be used is a failure."""
    seen: list[TrainingStatus] = []
    runs: list[Path] = []

    def use(run: Path) -> None:
        runs.append(run)
        assert not (run / "report.html").exists()
        raise RunError("it is damaged")

    training = BackgroundTraining(use, lambda _: None)
    training.start(TrainConfig(data=image_folder(stripes=4, dots=4)))
    while training.status.stage == "running":
        if not seen or training.status != seen[-1]:
            seen.append(training.status)
        time.sleep(0.005)
    stages = dict.fromkeys(status.what for status in seen)
    assert {"starting", "loading TensorFlow…", "choosing"} <= set(stages)
    assert ("choosing", 3, 3) in [(status.what, status.done, status.total) for status in seen]
    assert any("8 images to train on" in line for line in seen[-1].lines)
    assert any(line.startswith("warning: classes with few images") for line in seen[-1].lines)
    assert (training.status.stage, training.status.error) == ("failed", "it is damaged; train again")
    assert len(runs) == 1
