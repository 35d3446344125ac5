"""Parts of the comparison that run whole programs, from start to end: train, predict, memory."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from setting import FULL, STARTER, Line, Setting, take_turns

from finetune.data.folder import read_folder

LEARNING_RATE = 0.001
BATCH_SIZE = 32


class Training(NamedTuple):
    """The time, memory and accuracy of a training."""

    seconds: float
    megabytes: float
    accuracy: float


def run_seconds(command: Sequence[object], environment: Mapping[str, str]) -> float:
    """Return how long a program runs."""
    return _run(command, environment)[0]


def _run(command: Sequence[object], environment: Mapping[str, str]) -> tuple[float, float]:
    """Return a program's seconds and peak memory in MB; exit with its stderr if it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{errors}\n{' '.join(map(str, command))} ended with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1000  # kB on Linux


def run_training(
    photos: Path, weights: Path, out: Path, options: Sequence[object], environment: Mapping[str, str]
) -> Training:
    """Run `finetune train`."""
    files = ["--data", photos, "--weights", weights, "--out", out]
    took, megabytes = _run([sys.executable, "-m", "finetune", "train", *files, *options], environment)
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return Training(took, megabytes, metrics["val_accuracy"])


def run_torch_training(
    python: str, photos: Path, prefix: str, epochs: int, environment: Mapping[str, str]
) -> tuple[float, float]:
    """Run the plain torch loop on the same split; return the seconds and the last validation accuracy."""
    dataset = read_folder(photos)
    files: dict[str, Any] = {
        split: [(str(record.path), record.label) for record in dataset.records if record.split == split]
        for split in ("train", "val")
    }
    job = Path(prefix + ".job")
    settings = {"epochs": epochs, "learning_rate": LEARNING_RATE, "batch_size": BATCH_SIZE}
    about = {"prefix": prefix, "classes": len(dataset.class_names), "answer": f"{prefix}.answer"}
    job.write_text(json.dumps({**files, **settings, **about}), encoding="utf-8")
    took = run_seconds([python, Path(__file__).with_name("torch_worker.py"), "train", job], environment)
    return took, float(Path(about["answer"]).read_text(encoding="utf-8"))


def linked(photos: Path, folder: Path, count: int) -> Path:
    """Return a folder of `count` links to the photos, used in turn, in a folder for each class."""
    dataset = read_folder(photos)
    for number, record in enumerate(islice(cycle(dataset.records), count)):
        target = folder / dataset.class_names[record.label]
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{number:06}{record.path.suffix}").symlink_to(record.path)
    return folder


def train(setting: Setting) -> Iterator[Line]:
    records = read_folder(setting.photos).records
    what = f"train --skip fc8, {len(records)} photos × {setting.epochs} epochs"
    options = ["--skip", "fc8", "--epochs", setting.epochs, "--learning-rate", LEARNING_RATE]
    cold, warm, started = _cold_and_warm(setting, "fc8", options)
    probe, probe_warm, _ = _cold_and_warm(setting, "probe", [])
    theirs, accuracy = run_torch_training(
        setting.torch_python, setting.photos, setting.prefix(STARTER), setting.epochs, setting.environment
    )
    yield _line(f"{what}, cold", cold.seconds, "plain torch loop", theirs, f"{theirs / cold.seconds:.1f}×", "10×")
    yield Line(
        f"{what}, accuracy",
        f"{cold.accuracy:.1%}",
        "plain torch loop",
        f"{accuracy:.1%}",
        f"{100 * (cold.accuracy - accuracy):+.1f} points",
        "-2 points",
    )
    ratio = f"{cold.seconds / warm.seconds:.1f}×"
    yield _line(f"{what}, second run", warm.seconds, "first run", cold.seconds, ratio, "2×")
    difference = f"{warm.seconds - started:+.1f} s"
    yield _line("the same", warm.seconds, "import tensorflow", started, difference, "at most +3 s")
    for name, ours, other in (("cold", probe, cold), ("second run", probe_warm, warm)):
        ratio = f"{ours.seconds / other.seconds:.2f}×"
        yield _line(f"train (linear probe), {name}", ours.seconds, "train --skip fc8", other.seconds, ratio, "≤ 1×")
    yield Line(
        "train (linear probe), accuracy",
        f"{probe.accuracy:.1%}",
        "plain torch loop",
        f"{accuracy:.1%}",
        f"{100 * (probe.accuracy - accuracy):+.1f} points",
        "0 points",
    )


def _cold_and_warm(setting: Setting, name: str, options: Sequence[object]) -> tuple[Training, Training, float]:
    """Train with an empty cache of features and again with a full one; also time the import of TensorFlow alone."""
    weights = Path(setting.prefix(STARTER) + ".safetensors")
    with tempfile.TemporaryDirectory(prefix="finetune-cache-") as cache:
        environment = {**setting.environment, "XDG_CACHE_HOME": cache}
        cold, warm = (
            run_training(setting.photos, weights, setting.folder / f"{name}-{out}", options, environment)
            for out in ("cold", "warm")
        )
        return cold, warm, run_seconds([sys.executable, "-c", "import tensorflow"], environment)


def _line(what: str, ours: float, against: str, theirs: float, ratio: str, wanted: str) -> Line:
    """Return a row of two times in seconds."""
    return Line(what, f"{ours:.1f} s", against, f"{theirs:.1f} s", ratio, wanted)


def predict(setting: Setting) -> Iterator[Line]:
    photo = read_folder(setting.photos).records[0].path
    model = setting.prefix(FULL) + ".safetensors"
    commands = {
        "ours": [sys.executable, "-m", "finetune", "predict", photo, "--model", model],
        "import": [sys.executable, "-c", "import tensorflow"],
    }
    took = take_turns(
        {name: lambda c=command: run_seconds(c, setting.environment) for name, command in commands.items()},
        max(1, setting.rounds // 2),
    )
    difference = f"{took['ours'] - took['import']:+.1f} s"
    yield _line(
        "predict, one photo, whole program",
        took["ours"],
        "import tensorflow",
        took["import"],
        difference,
        "at most +2 s",
    )


def memory(setting: Setting) -> Iterator[Line]:
    count = len(read_folder(setting.photos).records)
    options = ["--skip", "fc8", "--no-cache", "--epochs", setting.epochs]
    weights = {name: Path(setting.prefix(name) + ".safetensors") for name in (FULL, STARTER)}
    run = run_training(setting.photos, weights[FULL], setting.folder / "memory", options, setting.environment)
    yield Line(f"peak memory, training {count} photos", f"{run.megabytes:.0f} MB", "", "", "", "at most 1500 MB")
    options = ["--skip", "fc8", "--no-cache", "--epochs", 2]
    peaks = []
    for files in setting.files:
        folder = linked(setting.photos, setting.folder / f"links-{files}", files)
        out = setting.folder / f"memory-{files}"
        peaks.append(run_training(folder, weights[STARTER], out, options, setting.environment).megabytes)
    few, many = setting.files
    yield Line(
        f"peak memory, {many:,} files",
        f"{peaks[1]:.0f} MB",
        f"{few:,} files",
        f"{peaks[0]:.0f} MB",
        f"{peaks[1] - peaks[0]:+.0f} MB",
        "at most +100 MB",
    )
