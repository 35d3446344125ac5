"""The run directory: all that a training leaves. No other module knows the names of its files."""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock, Timeout

from finetune.system.atomic import replacing
from finetune.choices import ExportFormat
from finetune.system.csv_cells import write_rows
from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.model import Model, save_model

RUNS = Path("runs")  # where runs go that were given no name, and where predict looks for the newest

CONFIG = "config.json"
MODEL = "model.safetensors"
MANIFEST = "manifest.csv"
SKIPPED = "skipped.csv"
CLASSES = "classes.txt"
HISTORY = "history.csv"
METRICS = "metrics.json"
REPORT = "report.html"
EVALUATION = "evaluation.json"  # the figures on the validation images, and the images that the report shows
PLAN = "plan.txt"  # what was loaded, fresh, frozen and trained, as the run's first lines said
AUGMENTED = "augmented.png"  # some training images beside augmented views of them
TENSORBOARD = "tensorboard"
CHECKPOINT = "checkpoint/last.safetensors"
WITHIN = "checkpoint/within.safetensors"  # the state within the epoch after CHECKPOINT, if there is one
PENDING = "pending.json"  # the options of a training that has no state yet, beside an older run if there is one
FACTS = ("source_weights", "data_sha256", "version", "versions", "cuts")  # what CONFIG holds beside the options
LOCK = ".lock"
NEW = ".new"  # the folder of a training's first files, its first state among them, until all of them are written
FILES = (CONFIG, MODEL, MANIFEST, SKIPPED, CLASSES, HISTORY, METRICS, REPORT, EVALUATION, PLAN, AUGMENTED)
FOLDERS = ("checkpoint", TENSORBOARD, *(f"export-{format}" for format in get_args(ExportFormat)))


class Run:
    """A run directory; `path` is the folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def prepare(cls, out: Path | None, overwrite: bool) -> "Run":
        """Return the run that will be written to `out`, or to a new name in ./runs; nothing is written yet.

        Raises RunError when `out` has anything in it, unless it is a run and `overwrite` is on.
        """
        if out is None:
            now = datetime.now().strftime("%Y-%m-%d_%H%M%S")
            path, number = RUNS / now, 2
            while path.exists():  # begun in the same second
                path, number = RUNS / f"{now}_{number}", number + 1
            return cls(path)
        if out.exists() and not out.is_dir():
            raise RunError(f"--out {out} is a file; expected the name of a new folder")
        names = {path.name for path in out.iterdir()} - {LOCK} if out.is_dir() else set()
        if names:
            if not names & {CONFIG, PENDING}:
                raise RunError(f"--out {out} has files in it and is no run; choose another --out")
            if not overwrite:
                raise RunError(f"--out {out} holds a run already; choose another --out, or --overwrite to replace it")
        return cls(out)

    @property
    def model(self) -> Path:
        """The file of the best model."""
        return self.path / MODEL

    @property
    def checkpoint(self) -> Path:
        """The file of the last state of training, for --resume."""
        return self.path / CHECKPOINT

    @property
    def checkpoint_within(self) -> Path:
        """The file of a state within the epoch after that."""
        return self.path / WITHIN

    @property
    def tensorboard(self) -> Path:
        """The folder of events for TensorBoard."""
        return self.path / TENSORBOARD

    @contextmanager
    def held(self, options: Mapping[str, Any] | None) -> Iterator[None]:
        """Hold the folder for one process, and keep the options of a training there until it begins.

        So a training that is killed before it begins can be resumed too, and one that a RunError ends, which says so.
        Any other error before leaves the folder as it was, and so does every error where an older run stands.
        Raises RunError when another process holds the folder, or it cannot be written.
        """
        lock = FileLock(self.path / LOCK, timeout=0)
        resumable = False
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            for left in self.path.rglob(".*.part"):  # by a process that was killed while it wrote
                left.unlink()
            shutil.rmtree(self.path / NEW, ignore_errors=True)
            if options is not None:
                self._write(PENDING, _json(options))
        except Timeout:
            raise RunError(
                f"another training is writing to {self.path}; wait for it, or choose another --out"
            ) from None
        except OSError as error:
            self._let_go(lock)
            raise RunError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from None
        try:
            yield
        except RunError:
            resumable = not self.would_be_replaced
            raise
        finally:
            if options is not None and not resumable:
                (self.path / PENDING).unlink(missing_ok=True)
            self._let_go(lock)

    @property
    def would_be_replaced(self) -> bool:
        """Whether an older run stands here beside a training that has not begun."""
        return (self.path / CONFIG).exists() and (self.path / PENDING).exists()

    def _let_go(self, lock: FileLock) -> None:
        """Let another process have the folder; one that is empty goes."""
        if lock.is_locked:
            (self.path / LOCK).unlink(missing_ok=True)
            lock.release()
            if not any(self.path.iterdir()):
                self.path.rmdir()

    def begin(
        self,
        config: Mapping[str, Any],
        dataset: Dataset,
        plan: str = "",
        also: Callable[["Run"], None] = lambda new: None,
    ) -> None:
        """Make the folder and write a training's first files, in place of all that an older run left there.

        `plan` as it was shown. `also` writes more to the run that it is given. The older run stays as it was until all
        of that is on the disk. Killed in the midst, the run is still pending. Raises RunError when the disk or the
        folder refuses.
        """
        new = Run(self.path / NEW)
        try:
            new.path.mkdir(parents=True)
            new._write(CONFIG, _json(config))
            new.write_data(dataset)
            if plan:
                new._write(PLAN, plan.rstrip("\n") + "\n")
            also(new)
            for name in FILES:  # CONFIG first: without it this is no older run, and what is pending stays
                (self.path / name).unlink(missing_ok=True)
            for name in FOLDERS:
                shutil.rmtree(self.path / name, ignore_errors=True)
            for path in new.path.iterdir():
                path.replace(self.path / path.name)
            (self.path / PENDING).unlink(missing_ok=True)
        except OSError as error:
            (self.path / PENDING).unlink(missing_ok=True)  # it would not go on here
            raise RunError(f"{self.path} cannot be written ({error.strerror}); choose another --out") from None
        finally:
            shutil.rmtree(new.path, ignore_errors=True)

    def write_data(self, dataset: Dataset) -> None:
        """Write which images are used, and on which side, and which are left out."""
        names = dataset.class_names
        self._write_csv(
            MANIFEST, ("path", "label", "split"), ((r.path, names[r.label], r.split) for r in dataset.records)
        )
        self._write_csv(SKIPPED, ("path", "reason"), dataset.skipped)
        self._write(CLASSES, "".join(f"{name}\n" for name in names))

    def write_history(self, columns: Iterable[str], epochs: Iterable[tuple[Any, ...]]) -> None:
        """Write one line an epoch; no clock times, so that equal runs give equal files."""
        self._write_csv(HISTORY, columns, epochs)

    def write_model(self, model: Model) -> None:
        """Write the best model."""
        save_model(self.model, model)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the figures."""
        self._write(METRICS, _json(metrics))

    def write_augmented(self, png: bytes) -> None:
        """Write the picture of augmented views."""
        with replacing(self.path / AUGMENTED) as temporary:
            temporary.write_bytes(png)

    def write_report(self, html: str) -> None:
        """Write the page for people."""
        self._write(REPORT, html)

    def config(self) -> dict[str, Any]:
        """Return the options and digests that `begin` wrote; raise RunError when there are none."""
        options = self._read(CONFIG)
        if options is None:
            raise RunError(f"{self.path} has no {CONFIG}: expected a run that `finetune train` began")
        return options

    def pending(self) -> dict[str, Any] | None:
        """Return the options of a training that was killed before it began, if there are any."""
        return self._read(PENDING)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            options: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"{self.path / name} cannot be opened ({error.strerror}); mend that") from None
        except (ValueError, RecursionError) as error:
            raise RunError(f"{self.path / name} is no JSON ({error}); start a new run") from None
        if not isinstance(options, dict):
            raise RunError(f"{self.path / name} is damaged: expected names with values; start a new run")
        return options

    def metrics(self) -> dict[str, Any]:
        """Return the figures that `write_metrics` wrote; raise RunError when there are none."""
        figures = self._read(METRICS)
        if figures is None:
            raise RunError(f"{self.path} has no {METRICS}: expected a run that `finetune train` finished")
        return figures

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


def newest(runs: Path = RUNS) -> Run | None:
    """Return the run in `runs` whose model was written last, or None."""
    models = list(runs.glob(f"*/{MODEL}")) if runs.is_dir() else []
    return Run(max(models, key=lambda path: path.stat().st_mtime_ns).parent) if models else None


def open_run(path: Path) -> Run:
    """Return the run at `path`; raise RunError when it has no model."""
    if not (path / MODEL).is_file():
        raise RunError(f"{path} has no {MODEL}: expected a run directory that `finetune train` finished")
    return Run(path)


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
