"""A training with two workers, of which a process is killed again and again: a worker, or the command itself."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from finetune.runs.run import CONFIG, WITHIN

OPTIONS = (
    "--skip=fc7,fc8", "--train=fc6", "--epochs=9", "--batch-size=5", "--views=2", "--optimizer=adam", "--ema=0.9",
    "--checkpoint-minutes=0.0001", "--no-check",
)  # fmt: skip


def command(data: Path, weights: Path, out: Path, workers: int) -> list[str]:
    """Return the command that trains into `out`, or resumes the run there once it has its options."""
    if (out / CONFIG).exists():
        options = ["--resume", str(out)]
    else:
        options = [f"--data={data}", f"--weights={weights}", f"--out={out}", *OPTIONS, "--overwrite"]
    return [sys.executable, "-m", "finetune", "train", *options, f"--workers={workers}"]


def start(arguments: list[str], errors: IO[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=errors, text=True, env=environment)


def workers_of(process: int) -> list[int]:
    """Return the workers of a command, the first one first."""
    found = []
    for child in map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()):
        with suppress(FileNotFoundError):  # it has just ended
            found += [child] if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes() else []
    return found


def kill(arguments: list[str], out: Path, victim: int, batches: int, later: float = 0) -> tuple[int, str, list[int]]:
    """Train until some batches more are kept, and kill a worker, or the command itself as victim 0.

    `later`: seconds to wait before the kill; without a batch, the workers are still starting. Returns the exit code,
    what was said on stderr, and the workers.
    """
    log, needed = out.with_suffix(".log"), 0 if arguments[-1] == "--workers=1" else 2
    with log.open("w+") as errors:
        process = start(arguments, errors)
        seen: set[int] = set()
        while len(seen) <= batches or len(workers_of(process.pid)) < needed:
            assert process.poll() is None, f"it ended before it was killed: {log.read_text()}"
            seen |= {(out / WITHIN).stat().st_mtime_ns} if (out / WITHIN).exists() else set()
            time.sleep(0.002)
        time.sleep(later)
        workers = workers_of(process.pid)
        os.kill(workers[victim - 1] if victim else process.pid, signal.SIGKILL)
        code = process.wait(60)
    return code, log.read_text(), workers


def is_running(process: int) -> bool:
    """Whether a process has not ended."""
    try:
        return re.search(r"^State:\s+[^ZX]", Path(f"/proc/{process}/status").read_text(), re.MULTILINE) is not None
    except FileNotFoundError:
        return False
