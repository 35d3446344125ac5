"""Workers as processes: equal to one, and what happens when a process ends."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.kill_workers import command, is_running, kill, start
from support.small_heads import plan_for, separable

from finetune.errors import WorkerError
from finetune.runs.run import HISTORY, MODEL
from finetune.training.head import Head
from finetune.training.local_group import HOST, local_group
from finetune.training.open_head import open_head

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the workers in /proc"),
]

KILLS = int(os.environ.get("FINETUNE_TEST_KILLS", "3"))
FILES = (MODEL, HISTORY, "metrics.json", "manifest.csv", "evaluation.json")


def test_two_workers_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, validation, weights; the last batch has one image, so that a worker has none.

    They need no proxy: nothing answers at this one.
    """
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    plan = plan_for(("conv5", "fc6", "fc7", "fc8"), batch_size=6, mixup=0.3, weight_decay=0.01)
    rows = np.random.default_rng(0).uniform(0, 1, (6, *plan.network.shape_before("conv5"))).astype(np.float32)
    labels, weights = np.array([0, 1, 1, 0, 1, 0], np.int32), np.ones(6, np.float32)
    one = Head(plan)
    one.set_rate(0.01)
    with open_head(replace(plan, workers=2)) as several:
        several.restore(one.values())
        several.set_rate(0.01)
        for count in (6, 5, 6, 1):
            arguments = (rows[:count], labels[:count], weights[:count], count, 0.7)
            assert several.step(*arguments) == pytest.approx(one.step(*arguments), rel=1e-5)
        for name, value in one.values().weights.items():
            np.testing.assert_allclose(several.values().weights[name], value, atol=1e-5, err_msg=name)


def test_what_a_worker_cannot_do() -> None:
    plan = replace(plan_for(("fc8",), batch_size=6), workers=2)
    with open_head(plan) as several, pytest.raises(WorkerError, match=r"a worker has failed \(TypeError"):
        several.evaluate(replace(separable(4), labels=np.array(["a"] * 4)))  # type: ignore[arg-type]


def test_ctrl_c_is_not_for_workers() -> None:
    """Not from the first moment on, in which it would end the import of Python's own modules with a traceback."""
    with local_group(1) as group:
        (process,) = group._processes
        for _ in range(20):
            os.kill(process.pid or 0, signal.SIGINT)
            time.sleep(0.02)
        (address,) = group.ask("address", [(HOST,)])
    assert address.startswith(f"{HOST}:")


def test_kills(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Workers and the command are killed in turn; the run, resumed each time, is that of an unbroken one."""
    data, whole, killed = image_folder(stripes=20, dots=21), tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command(data, tiny_weights, whole, 2), check=True, capture_output=True)
    generator = random.Random(1)
    for number in range(KILLS):
        victim = (2, 1, 0)[number % 3]
        arguments = command(data, tiny_weights, killed, 2)
        batches = generator.randrange(3) if number else 2  # with 0, anywhere in the start of the workers
        code, said, workers = kill(arguments, killed, victim, batches, 0 if batches else 4 * generator.random())
        assert said.count("ask for no password") == 1
        if victim:
            assert code == 1
            assert said.splitlines()[-1] == (
                f"finetune: error: worker {victim} of 2 has ended (killed by SIGKILL); continue with finetune train "
                f"--resume {killed}"
            )
        until = time.monotonic() + 30
        while any(map(is_running, workers)):
            assert time.monotonic() < until, "workers stay after the command has ended"
            time.sleep(0.05)
    subprocess.run(command(data, tiny_weights, killed, 2), check=True, capture_output=True)
    assert [name for name in FILES if (killed / name).read_bytes() != (whole / name).read_bytes()] == []


def test_resumed_by_one(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """What two workers began, one finishes, and the other way round."""
    data, out = image_folder(stripes=20, dots=21), tmp_path / "run"
    code, said, _ = kill(command(data, tiny_weights, out, 1), out, 0, batches=2)
    assert code == -9, said
    code, said, _ = kill(command(data, tiny_weights, out, 2), out, 1, batches=2)
    assert code == 1, said
    with (tmp_path / "log").open("w+") as errors:
        assert start(command(data, tiny_weights, out, 1), errors).wait(120) == 0
    assert (out / MODEL).exists()
    assert len((out / HISTORY).read_text().splitlines()) == 10
