"""Kill a training at random moments, resume it, and hold it against one that was not killed.

A program of its own: it forks after TensorFlow was imported and before it computed anything, which saves the start-up
of every training.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import finetune.training.fit  # noqa: F401 (imports TensorFlow)
from finetune.config import TrainConfig
from finetune.run import CONFIG, PENDING
from finetune.training.train import resume, train

KILLS = 4  # of one run, one after the other
FILES = ("model.safetensors", "history.csv", "metrics.json", "manifest.csv", "skipped.csv", "evaluation.json")


def fork(config: TrainConfig, out: Path) -> int:
    """Train into `out`, or go on with what is there, in a process of its own; return its number."""
    child = os.fork()
    if child:
        return child
    os.environ["XDG_CACHE_HOME"] = str(out.parent / f"cache of {out.name}")
    begun = (out / CONFIG).exists() or (out / PENDING).exists()
    resume(out) if begun else train(config)
    os._exit(0)


def finish(child: int) -> None:
    """Wait for a process; fail unless it ended well."""
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(f"a training ended with status {status}")


def main(data: Path, weights: str, folder: Path, times: int) -> None:
    """Print at which share of a whole training each kill came, and the last file that stood then."""

    def config(out: Path) -> TrainConfig:
        return TrainConfig(
            data=data, weights=weights, out=out, epochs=4, batch_size=4, train=("fc6",), views=2,
            optimizer="adam", ema=0.9, checkpoint_minutes=1e-4,
        )  # fmt: skip

    whole = folder / "whole"
    started = time.perf_counter()
    finish(fork(config(whole), whole))
    duration = time.perf_counter() - started
    generator = random.Random(1)
    shares = [(place + generator.random()) / times for place in range(times)]  # anywhere, and everywhere
    generator.shuffle(shares)
    for number, start in enumerate(range(0, times, KILLS)):
        out = folder / f"killed {number}"
        for share in shares[start : start + KILLS]:
            child = fork(config(out), out)
            time.sleep(share * duration)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            names = {path.name for path in out.iterdir()} if out.exists() else set()
            last = next((name for name in ("report.html", *FILES, CONFIG, PENDING) if name in names), "nothing")
            print(f"{share:.0%} {last}")
        finish(fork(config(out), out))
        different = [name for name in FILES if (out / name).read_bytes() != (whole / name).read_bytes()]
        if different:
            sys.exit(f"run {number} was killed {KILLS} times: {', '.join(different)} differ")


main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
