"""One run in short: when, on which data, what was trained, how good it is."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from finetune.errors import RunError
from finetune.metrics import Interval, wilson_interval
from finetune.runs.read_run import read_evaluation
from finetune.runs.run import CONFIG, EVALUATION, METRICS, PENDING, Run

RunStatus = Literal["finished", "interrupted", "unfinished", "damaged"]


class RunResults(NamedTuple):
    """How good a run's model is, with its temperature, on the images that it was measured on; all as in `Evaluation`.

    `interval`: of the accuracy, Wilson's, 95 %.
    """

    images: int
    accuracy: float
    interval: Interval
    loss: float
    temperature: float
    calibration_error: float


@dataclass(frozen=True)
class RunOverview:
    """What a list of runs shows of one.

    `when`: it ended or, if it is unfinished, when it started. `config`: its config.json, or the options of a training
    that has not saved a state yet. `epochs`: those that are done, None for a probe and an unfinished run. `problem`:
    why it is damaged.
    """

    path: Path
    status: RunStatus
    when: datetime
    config: Mapping[str, Any]
    results: RunResults | None = None
    epochs: int | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.path.resolve().name

    @property
    def data(self) -> str:
        """The name of the folder or list of its images."""
        data = str(self.config.get("data", ""))
        return Path(data).name or data

    @property
    def trained(self) -> str:
        """What was trained, in a few words: `probe on fc6`, or `fc7, fresh fc8`."""
        if not self.config:
            return ""
        probe, stages, fresh, further = (self.config.get(name) for name in ("probe", "stages", "skip", "train"))
        if self.config.get("weights") == "none":
            return "from scratch"
        if stages:
            return f"stages {stages}"
        if probe:
            return "probe" if probe == "auto" else f"probe on {probe}"
        return ", ".join([*_names(further), *(f"fresh {name}" for name in _names(fresh))])

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        results = self.results._asdict() if self.results else dict.fromkeys(RunResults._fields)
        return {
            "run": self.name,
            "path": str(self.path),
            "status": self.status,
            "when": self.when.isoformat(timespec="seconds"),
            "data": self.data,
            "trained": self.trained,
            **results,
            "epochs": self.epochs,
            "problem": self.problem,
            "config": dict(self.config),
        }


def overview(path: Path) -> RunOverview:
    """Return the run at `path` in short; raise RunError when it is not a run or its files are damaged."""
    run = Run(path)
    if not (path / CONFIG).exists() and (pending := run.pending()) is not None:
        return RunOverview(path, "unfinished", last_written(path), pending)
    config = run.config()
    results = _results(run)
    if results is None or not (path / METRICS).exists():  # the last files of a training but for its report
        return RunOverview(path, "unfinished", last_written(path), config)
    metrics = run.metrics()
    status: RunStatus = "interrupted" if metrics.get("interrupted") else "finished"
    return RunOverview(path, status, last_written(path), config, results, metrics.get("epochs"))


def last_written(path: Path) -> datetime:
    """Return when a run ended or, if it has not, when it started, in local time."""
    for file in (path / METRICS, path / CONFIG, path / PENDING):
        with suppress(OSError):
            return datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    return datetime.fromtimestamp(path.stat().st_mtime).astimezone()


def _results(run: Run) -> RunResults | None:
    """Return what evaluation.json says, None if there is none; raise RunError when it is damaged."""
    evaluation = read_evaluation(run)
    if evaluation is None:
        return None
    try:
        images, accuracy, loss, temperature, calibration_error = (
            _number(evaluation[name]) for name in ("images", "top1", "loss_after", "temperature", "ece_after")
        )
        interval = wilson_interval(round(accuracy * images), int(images))
        return RunResults(int(images), accuracy, interval, loss, temperature, calibration_error)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise RunError(f"{run.path / EVALUATION} is damaged ({reason}); train again") from None


def _number(value: Any) -> float:
    """Return a finite number; raise ValueError or TypeError for anything else."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return float(value)


def _names(value: Any) -> list[str]:
    """Return the layers of an option: a list, a text of an older version, or nothing."""
    return list(map(str, value)) if isinstance(value, list) else [str(value)] if value else []
