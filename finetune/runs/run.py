"""The run directory: everything that a training leaves. No other module knows the names of its files."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from finetune.choices import ExportFormat
from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.model import Model, save_model
from finetune.runs.lock import LOCK, locked
from finetune.system.atomic import replacing
from finetune.system.csv_cells import write_rows
from finetune.system.nearest_path import did_you_mean_path

RUNS = Path("runs")  # where runs without a name go, and where predict looks for the newest

CONFIG = "config.json"
MODEL = "model.safetensors"
MANIFEST = "manifest.csv"
SKIPPED = "skipped.csv"
CLASSES = "classes.txt"
HISTORY = "history.csv"
PROBE = "probe.csv"  # in place of HISTORY: what the layer of a linear probe was chosen from
METRICS = "metrics.json"
REPORT = "report.html"
EVALUATION = "evaluation.json"  # the metrics on the validation images, and the images that the report shows
PLAN = "plan.txt"  # what was loaded, fresh, frozen and trained, as shown when training started
AUGMENTED = "augmented.png"  # some training images next to augmented views of them
TENSORBOARD = "tensorboard"
CHECKPOINT = "checkpoint/last.safetensors"
WITHIN = "checkpoint/within.safetensors"  # a state within the epoch after CHECKPOINT, if any
PENDING = "pending.json"  # the options of a training that has not saved a state yet, next to an older run if any
# What CONFIG holds in addition to the options.
FACTS = ("source_weights", "data_sha256", "solver_sha256", "version", "versions")
NEW = ".new"  # a training's first files, its first state included, until all of them are on disk
FILES = (CONFIG, MODEL, MANIFEST, SKIPPED, CLASSES, HISTORY, PROBE, METRICS, REPORT, EVALUATION, PLAN, AUGMENTED)
FOLDERS = ("checkpoint", TENSORBOARD, *(f"export-{format}" for format in get_args(ExportFormat)))


class Run:
    """A run directory; `path` is the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, out: Path | None, overwrite: bool) -> "Run":
        """Return the run that a training will write to `out`, or to a new name in ./runs; nothing is written yet.

        Raises RunError when `out` has anything in it, unless it is a run and `overwrite` is on, or a training that was
        stopped before its first state: nothing is lost when that one starts again.
        """
        if out is None:
            now = datetime.now().strftime("%Y-%m-%d_%H%M%S")
            path, number = RUNS / now, 2
            while path.exists():  # started within the same second
                path, number = RUNS / f"{now}_{number}", number + 1
            return cls(path)
        if out.exists() and not out.is_dir():
            raise RunError(f"--out {out} is a file; expected the name of a new folder")
        names = {path.name for path in out.iterdir()} - {LOCK} if out.is_dir() else set()
        if names:
            if not names & {CONFIG, PENDING}:
                raise RunError(f"--out {out} contains files and is not a run; choose another --out")
            if CONFIG in names and not overwrite:
                raise RunError(f"--out {out} already holds a run; choose another --out, or --overwrite to replace it")
        return cls(out)

    @property
    def model(self) -> Path:
        """The file of the model."""
        return self.path / MODEL

    @property
    def report(self) -> Path:
        """The path of the report."""
        return self.path / REPORT

    @property
    def checkpoint(self) -> Path:
        """The file of the last whole state of training, for --resume."""
        return self.path / CHECKPOINT

    @property
    def checkpoint_within(self) -> Path:
        """The file of a state within the epoch after `checkpoint`."""
        return self.path / WITHIN

    @property
    def tensorboard(self) -> Path:
        """The folder of events for TensorBoard."""
        return self.path / TENSORBOARD

    @contextmanager
    def locked(self, options: Mapping[str, Any] | None) -> Iterator[None]:
        """Hold the folder for this process, and keep the `options` of a new training there until its first state.

        A training that is killed before its first state can then be resumed too, as can one that ends with a RunError,
        which says so. Any other error before that leaves the folder as it was, and so does every error while an older
        run is in the folder. Raises RunError when another process holds the folder or it cannot be written.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self.path, self.path / NEW))
                if options is not None:
                    self._write(PENDING, _json(options))
            except OSError as error:
                raise RunError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from None
            resumable = False
            try:
                yield
            except RunError:
                resumable = not self.would_be_replaced
                raise
            finally:
                if options is not None and not resumable:
                    (self.path / PENDING).unlink(missing_ok=True)

    @property
    def would_be_replaced(self) -> bool:
        """Whether an older run is still here next to a training that has not saved a state yet."""
        return (self.path / CONFIG).exists() and (self.path / PENDING).exists()

    @contextmanager
    def starting(self) -> Iterator["Run"]:
        """Yield a run for a training's first files; when the block ends well they replace all of an older run here.

        Until then the older run stays as it was, and a training that is killed can be started again by --resume.
        Raises RunError when the disk or the folder refuses.
        """
        new = Run(self.path / NEW)
        try:
            new.path.mkdir(parents=True)
            yield new
            for name in FILES:  # CONFIG first: without it this is not an older run, and the training is still pending
                (self.path / name).unlink(missing_ok=True)
            for name in FOLDERS:
                shutil.rmtree(self.path / name, ignore_errors=True)
            for path in new.path.iterdir():
                path.replace(self.path / path.name)
            (self.path / PENDING).unlink(missing_ok=True)
        except OSError as error:
            (self.path / PENDING).unlink(missing_ok=True)  # resuming would fail in the same way
            raise RunError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from None
        finally:
            shutil.rmtree(new.path, ignore_errors=True)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the options of the training, and the FACTS that it started from."""
        self._write(CONFIG, _json(config))

    def write_plan(self, plan: str) -> None:
        """Write the plan as it was shown."""
        self._write(PLAN, plan.rstrip("\n") + "\n")

    def write_data(self, dataset: Dataset) -> None:
        """Write which images are used, in which split, and which are skipped."""
        names = dataset.class_names
        columns = ("path", "label", "split", *(["group"] if dataset.by_group() else []))
        rows = ((r.path, names[r.label], r.split, r.group)[: len(columns)] for r in dataset.records)
        self._write_csv(MANIFEST, columns, rows)
        self._write_csv(SKIPPED, ("path", "reason"), dataset.skipped)
        self._write(CLASSES, "".join(f"{name}\n" for name in names))

    def write_history(self, columns: Iterable[str], epochs: Iterable[tuple[Any, ...]]) -> None:
        """Write one line per epoch, without clock times, so that equal runs write equal files."""
        self._write_csv(HISTORY, columns, epochs)

    def write_probe(self, columns: Iterable[str], layers: Iterable[tuple[Any, ...]]) -> None:
        """Write one line per layer that a probe was tried on."""
        self._write_csv(PROBE, columns, layers)

    def write_model(self, model: Model) -> None:
        """Write the model of the kept epoch."""
        save_model(self.model, model)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the metrics of the training."""
        self._write(METRICS, _json(metrics))

    def write_augmented(self, png: bytes) -> None:
        """Write the sheet of augmented views."""
        with replacing(self.path / AUGMENTED) as temporary:
            temporary.write_bytes(png)

    def write_report(self, html: str) -> None:
        """Write the report page."""
        self._write(REPORT, html)

    def config(self) -> dict[str, Any]:
        """Return what `write_config` wrote; raise RunError when there is no such file."""
        options = self._read(CONFIG)
        if options is None:
            raise RunError(f"{self.path} has no {CONFIG}: expected a run that `finetune train` started")
        return options

    def pending(self) -> dict[str, Any] | None:
        """Return the options of a training that was stopped before its first state, if there is one."""
        return self._read(PENDING)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            text = (self.path / name).read_text(encoding="utf-8", errors="surrogateescape")
            options: dict[str, Any] = json.loads(text)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be opened ({error.strerror}); check its permissions") from None
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name} is not valid JSON ({error}); start a new run") from None
        if not isinstance(options, dict):
            raise RunError(f"{self.path / name} is damaged: expected names with values; start a new run")
        return options

    def metrics(self) -> dict[str, Any]:
        """Return what `write_metrics` wrote; raise RunError when there is no such file."""
        metrics = self._read(METRICS)
        if metrics is None:
            raise RunError(f"{self.path} has no {METRICS}: expected a run that `finetune train` finished")
        return metrics

    def write_evaluation(self, evaluation: Mapping[str, Any]) -> None:
        """Write the metrics on the validation images, as `Evaluation.to_json` gives them, and what the report shows."""
        self._write(EVALUATION, json.dumps(evaluation, indent=1, ensure_ascii=False) + "\n")

    def _write(self, name: str, text: str) -> None:
        with replacing(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")

    def _write_csv(self, name: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        with (
            replacing(self.path / name) as temporary,
            temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            write_rows(file, [columns])
            write_rows(file, ([str(cell) if isinstance(cell, Path) else cell for cell in row] for row in rows))


def runs_with_model(runs: Path = RUNS) -> list[Run]:
    """Return the runs in `runs` that have a model, the one whose model was written last first."""
    models = runs.glob(f"*/{MODEL}") if runs.is_dir() else ()
    return [Run(path.parent) for path in sorted(models, key=lambda path: -path.stat().st_mtime_ns)]


def open_run(path: Path) -> Run:
    """Return the run at `path`; raise RunError when it has no model."""
    if not (path / MODEL).is_file():
        near = did_you_mean_path(path)
        raise RunError(f"{path} has no {MODEL}{near}: expected a run directory that `finetune train` finished")
    return Run(path)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
