"""`train --engine ray` on a cluster of two machines; `test_ray_training.py` runs this file in its own process."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ray_machines import two_machines, workers

from finetune.config import TrainConfig
from finetune.errors import InterruptionError
from finetune.runs.run import Run
from finetune.training.store import FeatureStore
from finetune.training.train import proceed, start

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")]

OF_THE_TIME = ("probe.csv",)  # has the seconds that each layer took


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_machines() as cluster:
        yield cluster


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eighty images, one of them with damaged pixels; the current folder is the one above, as a worker's is not."""
    folder = image_folder(stripes=40, dots=40)
    damaged = folder / "dots" / "7.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    monkeypatch.chdir(tmp_path)
    return Path(folder.name)


def trained(monkeypatch: pytest.MonkeyPatch, name: str, config: TrainConfig, *engine: str) -> dict[str, bytes]:
    """Train with an empty cache, and return the files of the run but for times; it is moved out of the way."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path(name + "-cache").absolute()))
    (run,) = start(config, *engine)
    found = files(run)
    run.path.rename(name)
    return found


def files(run: Run) -> dict[str, bytes]:
    every = (path for path in run.path.rglob("*") if path.is_file() and path.name not in OF_THE_TIME)
    return {str(path.relative_to(run.path)): path.read_bytes() for path in every}


@pytest.mark.parametrize("options", [{}, {"skip": ("fc7", "fc8"), "epochs": 2, "views": 3}])
def test_the_run_is_that_of_the_local_engine(
    cluster: Any, data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Byte for byte, though a worker is killed after its first batch."""
    config = TrainConfig(data=data, weights=str(tiny_weights), out=Path("run"), **options)
    expected = trained(monkeypatch, "local", config)
    killed: list[int] = []
    keep = FeatureStore.keep

    def keep_and_kill(self: FeatureStore, keys: Any, rows: Any) -> None:
        keep(self, keys, rows)
        if not killed and (pids := sorted(set().union(*workers(cluster)))):
            killed.append(pids[-1])
            os.kill(pids[-1], signal.SIGKILL)

    monkeypatch.setattr(FeatureStore, "keep", keep_and_kill)
    found = trained(monkeypatch, "ray", config, "ray", cluster.address)
    assert killed
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert b"7.png" in found["skipped.csv"]


def test_the_local_engine_finishes_what_ray_started(
    cluster: Any, data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = TrainConfig(data=data, weights=str(tiny_weights), out=Path("run"), skip=("fc8",), epochs=2)
    expected = trained(monkeypatch, "local", config)
    keep = FeatureStore.keep

    def interrupted(self: FeatureStore, keys: Any, rows: np.ndarray) -> None:
        keep(self, keys, rows)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FeatureStore, "keep", interrupted)
        with pytest.raises(InterruptionError, match="continue with finetune train"):
            trained(patch, "ray", config, "ray", cluster.address)
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("ray-cache").absolute()))
    (run,) = proceed(Path("run"))
    assert files(run) == expected


def test_workers_serve_all_epochs_of_a_stage(
    cluster: Any, data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With new views in every epoch; those of the next stage can start, though each machine has room for one only."""
    options: dict[str, Any] = {"skip": ("fc8",), "stages": "fc8:3,fc7-fc8:2", "views": 0}
    config = TrainConfig(data=data, weights=str(tiny_weights), out=Path("run"), **options)
    expected = trained(monkeypatch, "local", config)
    found: set[int] = set()
    keep = FeatureStore.keep

    def keep_and_look(self: FeatureStore, keys: Any, rows: Any) -> None:
        keep(self, keys, rows)
        found.update(*workers(cluster))

    monkeypatch.setattr(FeatureStore, "keep", keep_and_look)
    assert trained(monkeypatch, "ray", config, "ray", cluster.address) == expected
    assert len(found) <= 4, "more than one worker on each machine for each stage"
