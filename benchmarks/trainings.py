"""Parts of the comparison that train, as whole programs from start to end: train, memory."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from program import PLAIN_IMPORT, run
from setting import FULL, STARTER, Line, Setting

from finetune.data.folder import read_folder

LEARNING_RATE = 0.001


class Training(NamedTuple):
    """Seconds until the end and until the accuracy is printed, peak memory in MB, and the accuracy."""

    seconds: float
    printed: float
    megabytes: float
    accuracy: float


def train(setting: Setting) -> Iterator[Line]:
    by_gradient = ["--skip", "fc8", "--epochs", setting.epochs, "--learning-rate", LEARNING_RATE]
    took = setting.take_turns(
        {
            "cold": lambda: _cached(setting, "fc8", by_gradient, cold=True),
            "warm": lambda: _cached(setting, "fc8", by_gradient),
            "probe cold": lambda: _cached(setting, "probe", [], cold=True),
            "probe warm": lambda: _cached(setting, "probe", []),
            "import": lambda: run(PLAIN_IMPORT, setting.environment),
        }
    )
    started = took.pop("import").seconds
    cold, warm, probe, probe_warm = took.values()
    photos = f"{len(setting.paths())} photos"
    what = f"train --skip fc8, {photos} × {setting.epochs} epochs"
    ratio = f"{cold.seconds / warm.seconds:.1f}×"
    yield _line(f"{what}, second run", warm.seconds, "first run", cold.seconds, ratio, "≥ 2×")
    difference = f"{warm.seconds - started:+.1f} s"
    yield _line("the same", warm.seconds, "import tensorflow", started, difference, "≤ +3 s")
    what_probe = f"train --data (linear probe), {photos}"
    for name, ours, other in (("cold", probe, cold), ("second run", probe_warm, warm)):
        ratio = f"{ours.seconds / other.seconds:.2f}×"
        yield _line(f"{what_probe}, {name}", ours.seconds, "train --skip fc8", other.seconds, ratio, "≤ 1×")
    until = f"{what_probe}, cold, until the accuracy is printed"
    for name, seconds in (("until the end", probe.seconds), ("import tensorflow", started)):
        yield _line(until, probe.printed, name, seconds, f"{probe.printed / seconds:.2f}×", "")
    if setting.torch_python:
        theirs, accuracy = _torch_training(setting)
        yield _line(f"{what}, cold", cold.seconds, "plain torch loop", theirs, f"{theirs / cold.seconds:.1f}×", "≥ 10×")
        for name, ours, wanted in ((what, cold, "≥ -2 points"), (what_probe, probe, "≥ 0 points")):
            points = f"{100 * (ours.accuracy - accuracy):+.1f} points"
            cells = (f"{ours.accuracy:.1%}", "plain torch loop", f"{accuracy:.1%}", points)
            yield Line(f"{name}, accuracy", *cells, wanted)


def _cached(setting: Setting, name: str, options: Sequence[object], cold: bool = False) -> Training:
    """Train with the cache of features that earlier trainings of this name left, or with an empty one."""
    cache = setting.folder / f"cache-{name}"
    if cold:
        shutil.rmtree(cache, ignore_errors=True)
    return _training(setting, setting.photos, STARTER, options, {"XDG_CACHE_HOME": str(cache)})


def _training(
    setting: Setting, photos: Path, network: str, options: Sequence[object], variables: Mapping[str, str] | None = None
) -> Training:
    """Run `finetune train`."""
    out = Path(tempfile.mkdtemp(dir=setting.folder), "run")
    files = ["--data", photos, "--weights", setting.prefix(network) + ".safetensors", "--out", out]
    command = [sys.executable, "-m", "finetune", "train", *files, *options]
    measured = run(command, {**setting.environment, **(variables or {})}, first_line="trained ")
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    return Training(*measured, metrics["val_accuracy"])


def _torch_training(setting: Setting) -> tuple[float, float]:
    """Run the plain torch loop on the same split; return the seconds and the last validation accuracy."""
    dataset = read_folder(setting.photos)
    files: dict[str, Any] = {
        split: [(str(record.path), record.label) for record in dataset.records if record.split == split]
        for split in ("train", "val")
    }
    job, answer = setting.folder / "job.json", setting.folder / "answer"
    settings = {"epochs": setting.epochs, "learning_rate": LEARNING_RATE, "batch_size": setting.batch}
    about = {"prefix": setting.prefix(STARTER), "classes": len(dataset.class_names), "answer": str(answer)}
    job.write_text(json.dumps({**files, **settings, **about}), encoding="utf-8")
    command = [setting.torch_python, Path(__file__).with_name("torch_worker.py"), "train", job]
    return run(command, setting.environment).seconds, float(answer.read_text(encoding="utf-8"))


def _line(what: str, ours: float, against: str, theirs: float, ratio: str, wanted: str) -> Line:
    """Return a row of two times in seconds."""
    return Line(what, f"{ours:.1f} s", against, f"{theirs:.1f} s", ratio, wanted)


def memory(setting: Setting) -> Iterator[Line]:
    options = ["--skip", "fc8", "--no-cache", "--epochs", setting.epochs]
    peak = _training(setting, setting.photos, FULL, options).megabytes
    what = f"peak memory, training {len(setting.paths())} photos"
    yield Line(what, f"{peak:.0f} MB", "", "", "", "≤ 1500 MB")
    options = ["--skip", "fc8", "--no-cache", "--epochs", 2]
    peaks = []
    for files in setting.files:
        folder = linked(setting.photos, setting.folder / f"links-{files}", files)
        peaks.append(_training(setting, folder, STARTER, options).megabytes)
    few, many = setting.files
    yield Line(
        f"peak memory, {many:,} files",
        f"{peaks[1]:.0f} MB",
        f"{few:,} files",
        f"{peaks[0]:.0f} MB",
        f"{peaks[1] - peaks[0]:+.0f} MB",
        "≤ +100 MB",
    )


def linked(photos: Path, folder: Path, count: int) -> Path:
    """Return a folder of `count` links to the photos, used in turn, in a folder for each class."""
    dataset = read_folder(photos)
    for number, record in enumerate(islice(cycle(dataset.records), count)):
        target = folder / dataset.class_names[record.label]
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{number:06}{record.path.suffix}").symlink_to(record.path)
    return folder
