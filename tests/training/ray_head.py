"""`train --engine ray --workers 2` on two machines; `test_cluster_group.py` runs this file in its own process."""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ray_machines import two_machines, workers

from finetune.config import TrainConfig
from finetune.errors import RunError
from finetune.runs.run import HISTORY, MODEL, Run
from finetune.training.train import proceed, start
from finetune.training.worker_group import HeadOnWorkers

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")]

FILES = (MODEL, HISTORY, "metrics.json", "manifest.csv", "evaluation.json")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_machines() as cluster:
        yield cluster


@pytest.fixture
def config(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> Callable[[str], TrainConfig]:
    """Training of two layers on 40 images, into a run of a name."""
    data = image_folder(stripes=20, dots=20)

    def made(name: str) -> TrainConfig:
        options: dict[str, Any] = {"skip": ("fc7", "fc8"), "epochs": 2, "batch_size": 5, "checkpoint_minutes": 1e-4}
        return TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / name, check=False, **options)

    return made


def history(run: Run) -> list[list[float]]:
    with (run.path / HISTORY).open(newline="") as file:
        return [[float(value) for value in row] for row in list(csv.reader(file))[1:]]


def test_two_machines_are_one_and_can_be_killed(
    cluster: Any, config: Callable[[str], TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies ends the epoch with one line; resumed, the run is that of an unbroken one."""
    (one,) = start(config("one"))
    (whole,) = start(config("whole"), "ray", cluster.address, 2)
    assert len(history(one)) == 2
    for row, other in zip(history(one), history(whole), strict=True):
        assert other == pytest.approx(row, abs=1e-4)
    killed: list[int] = []
    train_on = HeadOnWorkers.train_on

    def train_and_kill(self: HeadOnWorkers, batch: Any) -> tuple[float, float]:
        if batch.seed and not killed and self.trained_batches > 3:
            (pid,) = workers(cluster, "ray::HeadWorker")[1]
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
        self.trained_batches += 1
        return train_on(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(HeadOnWorkers, "trained_batches", 0, raising=False)
        patch.setattr(HeadOnWorkers, "train_on", train_and_kill)
        message = r"worker [12] of 2 has ended \(.*\); continue with finetune train --resume .*killed$"
        with pytest.raises(RunError, match=message):
            list(start(config("killed"), "ray", cluster.address, 2))
    assert killed
    (run,) = proceed(whole.path.with_name("killed"), "ray", cluster.address, 2)
    assert [name for name in FILES if (run.path / name).read_bytes() != (whole.path / name).read_bytes()] == []
