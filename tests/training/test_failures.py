"""Trainings that are stopped: nothing older is lost, what was done is kept, and one line says what to do."""

import errno
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from finetune.config import TrainConfig
from finetune.errors import DataError, InterruptionError, RunError
from finetune.runs.run import Run
from finetune.training import checkpoint
from finetune.training import train as train_module
from finetune.training.features import Trunk
from finetune.training.head import Head
from finetune.training.state import State
from finetune.training.train import resume, train
from finetune.training.trainable import LabelledRows


@pytest.fixture
def config(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> TrainConfig:
    return TrainConfig(data=image_folder(stripes=6, dots=6), weights=str(tiny_weights), out=tmp_path / "run", epochs=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_old_run_stays_when_the_new_one_cannot_start(config: TrainConfig, tmp_path: Path) -> None:
    old = contents(train(config).path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError):
        train(replace(config, data=tmp_path / "empty", overwrite=True))
    assert contents(tmp_path / "run") == old


def test_an_old_run_stays_when_no_new_image_can_be_read(
    config: TrainConfig, tmp_path: Path, image_folder: Callable[..., Path], break_png: Callable[[Path], None]
) -> None:
    """The headers are sound, so it shows only when they are decoded; a new folder is removed again."""
    old = contents(train(config).path)
    broken = image_folder("broken", stripes=4, dots=4)
    for path in (broken / "dots").iterdir():
        break_png(path)
    for out in (tmp_path / "run", tmp_path / "new"):
        with pytest.raises(DataError, match="no readable image to train on for class 'dots'"):
            train(replace(config, data=broken, out=out, overwrite=True))
    assert contents(tmp_path / "run") == old
    assert not (tmp_path / "new").exists()


def test_an_old_run_stays_until_the_first_state(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the first epoch, a full disk at its end, and then Ctrl-C in the second epoch: that one replaces."""
    old = contents(train(replace(config, tensorboard=True)).path)
    save_state, evaluate = checkpoint.save_state, Head.evaluate
    again = replace(config, overwrite=True, seed=4)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    def full(path: Path, state: State) -> None:
        save_state(path, state)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Head, "evaluate", stopped)
        with pytest.raises(InterruptionError, match=r"^interrupted; train again: the older run in .*run is as it was$"):
            train(again)
    assert contents(tmp_path / "run") == old
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_state", full)
        with pytest.raises(RunError, match=r"run cannot be written \(No space left on device\); choose another --out"):
            train(again)
    assert contents(tmp_path / "run") == old
    evaluated: list[int] = []

    def stop_at_two(head: Head, data: LabelledRows) -> tuple[float, float]:
        evaluated.append(1)
        return evaluate(head, data) if len(evaluated) == 1 else stopped()  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        patch.setattr(Head, "evaluate", stop_at_two)
        assert train(again).metrics()["interrupted"]
    new = contents(tmp_path / "run")
    assert new["model.safetensors"] != old["model.safetensors"]
    assert not [name for name in new if name.startswith(("tensorboard", ".new", "pending"))]


@pytest.mark.parametrize("place", ["the data", "the features", "the swap"])
def test_killed_before_the_first_state(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The options are in the folder, next to a run that was to be replaced, and --resume does what they say."""
    train(replace(config, epochs=1))
    old = contents(tmp_path / "run")

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        if place == "the data":
            patch.setattr(train_module, "read_data", killed)
        elif place == "the features":
            patch.setattr(Trunk, "compute", killed)
        else:
            move = Path.replace
            swaps = lambda path, to: killed() if path.parent.name == ".new" != to.parent.name else move(path, to)  # noqa: E731
            patch.setattr(Path, "replace", swaps)
        patch.setattr(Path, "unlink", lambda *_, **__: None)  # no process tidies up after SIGKILL
        with pytest.raises(SystemExit):
            train(replace(config, overwrite=True, seed=4))
    if place != "the swap":
        assert contents(tmp_path / "run").items() >= old.items()
    resumed = resume(tmp_path / "run")
    assert (resumed.config()["seed"], len((resumed.path / "history.csv").read_text().splitlines())) == (4, 3)
    assert not (resumed.path / "pending.json").exists()


def test_one_training_at_a_time(config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with (
        FileLock(tmp_path / "run" / ".lock"),
        pytest.raises(RunError, match=r"another training is writing to .*run; wait for it, or choose another --out"),
    ):
        train(replace(config, overwrite=True))


def test_an_image_that_vanishes_while_training(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fresh views in every epoch the images are read again: one line, and the run resumes when it is back."""
    whole = train(replace(config, out=tmp_path / "whole", views=0))
    image = next((config.data / "dots").iterdir())
    content = image.read_bytes()
    save_state = checkpoint.save_state

    def delete_after_an_epoch(*args: object) -> None:
        save_state(*args)  # type: ignore[arg-type]
        image.unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_state", delete_after_an_epoch)
        with pytest.raises(RunError, match=f"{image.name} cannot be opened .* since training started; restore it"):
            train(replace(config, views=0))
    with pytest.raises(RunError, match="the images have changed since the run started"):
        resume(tmp_path / "run")
    image.write_bytes(content)
    resumed = resume(tmp_path / "run")
    for name in ("model.safetensors", "history.csv", "manifest.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name


def test_interrupted_before_the_first_epoch(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trunk, "compute", interrupted)
        with pytest.raises(InterruptionError, match=r"interrupted; continue with finetune train --resume .*run$"):
            train(config)
    assert resume(tmp_path / "run").metrics()["epochs"] == 2


def test_an_old_run_stays_until_the_first_files_are_written(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full when the second of its first files is written."""
    old = contents(train(config).path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Run, "write_data", full)
    with pytest.raises(RunError, match=r"run cannot be written \(No space left on device\); choose another --out"):
        train(replace(config, overwrite=True, seed=4))
    assert contents(tmp_path / "run") == old


@pytest.mark.slow
def test_a_disk_that_is_full(config: TrainConfig, tmp_path: Path) -> None:
    """No file may grow past 20 kB: one line that names the file, none half-written, and it resumes with room."""
    whole = train(replace(config, out=tmp_path / "whole"))
    command = [
        sys.executable, "-m", "finetune", "train", "--data", config.data, "--weights", config.weights,
        "--out", tmp_path / "run", "--epochs", "2",
    ]  # fmt: skip

    def little_room() -> None:
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=little_room)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("finetune: error: ")
    assert f"continue with finetune train --resume {tmp_path / 'run'}" in last
    assert not list((tmp_path / "run").rglob("*.part"))
    resumed = resume(tmp_path / "run")
    for name in ("model.safetensors", "history.csv", "manifest.csv"):
        assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert json.loads((resumed.path / "metrics.json").read_text())["epochs"] == 2
