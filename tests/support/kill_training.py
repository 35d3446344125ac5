"""Kill a training in every phase of it, resume it, and hold it against one that was not killed.

A program of its own: it forks after TensorFlow was imported and before it computed anything, which saves the start-up
of every training.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sklearn.linear_model  # noqa: F401 (takes a second)

import finetune.training.stages  # noqa: F401 (imports TensorFlow)
from finetune.config import TrainConfig
from finetune.runs.run import CONFIG, EVALUATION, HISTORY, MODEL, NEW, PENDING, REPORT, WITHIN
from finetune.training.train import resume, train

EPOCHS = 4
GENERATOR = random.Random(1)
PAUSE = 0.002  # seconds between two looks at the disk
FILES = (MODEL, HISTORY, "metrics.json", "manifest.csv", "skipped.csv", EVALUATION)


def cache(out: Path) -> Path:
    """Return where the features of the run at `out` go."""
    return out.with_name(f"cache of {out.name}")


def reached(out: Path) -> list[str]:
    """Return the phases that the training into `out` has come to, by what stands on disk; it is in the last."""
    history = out / HISTORY
    epochs = len(history.read_text().splitlines()) - 1 if history.exists() else 0
    signs = {
        "not begun": True,
        "options kept": (out / PENDING).exists() or (out / CONFIG).exists(),
        "features": any(cache(out).rglob("*.npy")),
        "first files": (out / NEW).exists() or (out / CONFIG).exists(),
        "epoch 1": (out / WITHIN).exists(),
        **{f"epoch {done + 1}": epochs >= done for done in range(1, EPOCHS)},
        "epochs done": epochs == EPOCHS,
        "model written": (out / MODEL).exists(),
        "evaluated": (out / EVALUATION).exists(),
        "finished": (out / REPORT).exists(),
    }
    return [phase for phase, there in signs.items() if there]


def fork(config: TrainConfig, out: Path) -> int:
    """Train into `out`, or resume the run there, in a process of its own; return its number."""
    child = os.fork()
    if child:
        return child
    os.environ["XDG_CACHE_HOME"] = str(cache(out))
    resume(out) if "options kept" in reached(out) else train(config)
    os._exit(0)


def runs(child: int) -> bool:
    """Whether a process has not ended; it can be killed and waited for afterwards all the same."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def finish(child: int, *others: int) -> None:
    """Wait for a process; fail unless it ended well, or with one of the `others`."""
    _, status = os.waitpid(child, 0)
    if status not in (0, *others):
        sys.exit(f"a training ended with status {status}")


def kill_in(phases: Sequence[str], looks: Counter[str], config: TrainConfig, out: Path) -> list[str]:
    """Train into `out` with a kill in each phase; return those that were over before the kill came."""
    missed = []
    for phase in phases:
        child = fork(config, out)
        while phase not in reached(out) and runs(child):
            time.sleep(PAUSE)
        time.sleep(GENERATOR.random() / 2 * looks[phase] * PAUSE)  # anywhere in the phase's first half
        os.kill(child, signal.SIGKILL)
        finish(child, signal.SIGKILL)
        if reached(out)[-1] == phase:
            print(phase)
        else:
            missed.append(phase)
    finish(fork(config, out))
    return missed


OPTIONS: dict[str, dict[str, Any]] = {
    "gradient": {
        "epochs": EPOCHS, "batch_size": 4, "train": ("fc6",), "views": 2, "optimizer": "adam", "ema": 0.9,
        "checkpoint_minutes": 1e-4,
    },
    "probe": {},
    "solver": {"solver": Path("solver.prototxt"), "checkpoint_minutes": 1e-4},  # EPOCHS of them, in the working folder
}  # fmt: skip


def main(data: Path, weights: str, folder: Path, times: int, options: str) -> None:
    """Print the phase of each kill, by what stood on disk after it, until every phase had `times` of them."""

    def config(out: Path) -> TrainConfig:
        return TrainConfig(data=data, weights=weights, out=out, **OPTIONS[options])

    whole = folder / "whole"
    child = fork(config(whole), whole)
    looks: Counter[str] = Counter()  # in each phase, which says how long it takes on this machine
    while runs(child):
        looks[reached(whole)[-1]] += 1
        time.sleep(PAUSE)
    finish(child)
    _, *phases, _ = reached(whole)  # without "not begun" and "finished"
    aims = [phases[0::2], phases[1::2]] * times  # so that a training goes through every second phase unharmed
    for number, aim in enumerate(aims):
        out = folder / f"killed {number}"
        missed = kill_in(aim, looks, config(out), out)
        there = [name for name in FILES if (whole / name).exists()]
        different = [name for name in there if (out / name).read_bytes() != (whole / name).read_bytes()]
        if different:
            sys.exit(f"run {number} was killed in {', '.join(aim)}: {', '.join(different)} differ")
        if missed:
            aims.append(missed)  # in one more training: in this one they are over


main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
