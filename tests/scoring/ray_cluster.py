"""`score --engine ray` on a cluster of two machines, both of them this one: the same rows as from the local engine.

`test_ray_engine.py` runs this file in its own process.
"""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ray_machines import two_machines, workers

from finetune.errors import DataError, RunError, WeightsError
from finetune.formats.npy_file import write_npy
from finetune.model import Model, save_model
from finetune.pretrained.description import Description
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.score import score
from finetune.scoring.score_options import ScoreOptions
from finetune.system import ray_cluster, ray_workers

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")  # it sets its own deprecated options


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_machines() as cluster:
        yield cluster


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two hundred images, one unreadable, one with a name that is not UTF-8; the current folder is the one above."""
    folder = image_folder(stripes=4, dots=3)
    (folder / "dots" / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for number in range(192):
        (folder / f"{number:03}.png").symlink_to(folder / "stripes" / f"{number % 4}.png")
    (folder / os.fsdecode(b"caf\xe9.png")).symlink_to(folder / "dots" / "1.png")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(
    cluster: Any,
    data: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ScoreOptions(batch_size=4, probabilities=True)
    assert score(["images"], Path("local.jsonl"), options, str(tiny_weights)).unreadable == 1
    pids: list[set[int]] = [set(), set()]
    write = ResumableOutput.write

    def write_and_kill(self: ResumableOutput, rows: Any) -> None:
        write(self, rows)
        for machine, now in zip(pids, workers(cluster), strict=True):
            machine |= now
        if self.rows == 20:
            assert [len(machine) for machine in pids] == [1, 1], "one worker on each machine"
            os.kill(min(pids[1]), signal.SIGKILL)

    monkeypatch.setattr(ResumableOutput, "write", write_and_kill)
    counts = score(["images"], Path("ray.jsonl"), options, str(tiny_weights), engine="ray", address=cluster.address)
    assert (counts.rows, counts.unreadable) == (200, 1)
    assert [len(machine) for machine in pids] == [1, 2], "another worker has replaced the dead one"
    assert Path("ray.jsonl").read_bytes() == Path("local.jsonl").read_bytes()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_local_engine_finishes_what_ray_started(
    cluster: Any, data: Path, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With weights that do not say how images become their input."""
    monkeypatch.setattr(ray_workers, "LOOK_AHEAD", 2)
    write_npy(Path("tiny.npy"), tiny_model.weights)
    options, description = ScoreOptions(batch_size=16, features=("fc7",)), Description("warp", "none", "linear")
    score(["images"], Path("local.npy"), options, "tiny.npy", "alexnet", description)
    arguments = (["images"], Path("ray.npy"), options, "tiny.npy", "alexnet", description)
    with pytest.raises(DataError, match=r"^--strict: images/dots/2\.png: the PNG"):
        score(*arguments, strict=True, engine="ray", address=cluster.address)
    assert score(*arguments, resume=True).unreadable == 1
    for ending in ("npy", "npy.csv"):
        assert Path(f"ray.{ending}").read_bytes() == Path(f"local.{ending}").read_bytes()


@pytest.mark.slow
def test_errors_of_workers_are_reported_as_local_ones(
    cluster: Any, data: Path, tiny_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = {**tiny_model.weights, "fc8/kernel": np.full((8, 3), 3e38, np.float32)}  # their sums overflow
    save_model(Path("damaged.safetensors"), replace(tiny_model, weights=weights))
    arguments = (["images"], Path("rows.jsonl"), ScoreOptions(), "damaged.safetensors")
    with pytest.raises(WeightsError, match=r"output for .*images/000\.png is not finite"):
        score(*arguments, engine="ray", address=cluster.address)
    monkeypatch.setattr(ray_cluster, "__version__", "9.9")
    with pytest.raises(
        RunError, match=r"expected finetune 9\.9, found \d.*; install the same finetune and ray on every"
    ):
        score(*arguments, overwrite=True, engine="ray", address=cluster.address)
