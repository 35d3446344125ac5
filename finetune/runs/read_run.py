"""Read back what a training left in its run directory."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from finetune.choices import SplitName
from finetune.data.class_name import valid_text
from finetune.data.dataset import Dataset, Record, Skipped
from finetune.errors import RunError
from finetune.runs.run import AUGMENTED, CLASSES, EVALUATION, HISTORY, MANIFEST, PLAN, PROBE, SKIPPED, Run
from finetune.system.csv_cells import original

LARGEST_SHEET = 5_000_000  # bytes of AUGMENTED, which takes about 500 kB
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"


def read_dataset(run: Run) -> Dataset:
    """Return the run's images with labels and splits, without digests; raise RunError when the files do not match."""
    class_names = read_classes(run)
    labels = {name: label for label, name in enumerate(class_names)}
    records = []
    for row in _rows(run, MANIFEST, ("path", "label", "split")):
        name = valid_text(row["label"])
        if name not in labels or row["split"] not in ("train", "val"):
            raise RunError(
                f"{run.path / MANIFEST} has {row['path']} with label {row['label']!r} and split {row['split']!r}; "
                f"expected a class of {CLASSES}, and train or val"
            )
        split: SplitName = "val" if row["split"] == "val" else "train"
        records.append(Record(Path(row["path"]), labels[name], split, digest="", group=row.get("group", "")))
    skipped = tuple(Skipped(Path(row["path"]), row["reason"]) for row in _rows(run, SKIPPED, ("path", "reason")))
    return Dataset(tuple(records), class_names, skipped)


def read_classes(run: Run) -> tuple[str, ...]:
    """Return the names of the run's classes, by label."""
    return tuple(map(valid_text, _text(run, CLASSES).removesuffix("\n").split("\n")))


def read_history(run: Run) -> list[dict[str, Any]]:
    """Return one mapping per epoch: column -> number."""
    try:
        return [
            {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}
            for row in _rows(run, HISTORY, ("epoch",))
        ]
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.path / HISTORY} is damaged ({error}); train again") from None


def read_probe(run: Run) -> list[dict[str, Any]]:
    """Return one mapping per layer that a probe was tried on, column -> value; empty for a run by gradient."""
    if not (run.path / PROBE).is_file():
        return []
    words = ("layer", "chosen")
    try:
        return [
            {name: value if name in words else float(value) for name, value in row.items()}
            for row in _rows(run, PROBE, ("layer", "accuracy", "standard_error", "log_loss", "chosen"))
        ]
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.path / PROBE} is damaged ({error}); train again") from None


def read_plan(run: Run) -> str:
    """Return the plan as text, empty when the run has none."""
    return _text(run, PLAN) if (run.path / PLAN).is_file() else ""


def read_augmented(run: Run) -> bytes:
    """Return the sheet of augmented views as a PNG; empty when there is none, or a truncated or very large one."""
    path = run.path / AUGMENTED
    try:
        content = path.read_bytes() if path.is_file() and path.stat().st_size <= LARGEST_SHEET else b""
    except OSError:
        return b""
    return content if content.startswith(_PNG_START) and content.endswith(_PNG_END) else b""


def read_evaluation(run: Run) -> dict[str, Any] | None:
    """Return what `Run.write_evaluation` wrote, or None."""
    if not (run.path / EVALUATION).is_file():
        return None
    try:
        evaluation: dict[str, Any] = json.loads(_text(run, EVALUATION))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{run.path / EVALUATION} is not valid JSON ({error}); train again") from None
    return evaluation


def _rows(run: Run, name: str, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV file; raise RunError when one lacks one of `columns`."""
    with _opened(run, name) as file:
        try:
            for row in csv.DictReader(file, strict=True):
                cells = {column: original(cell) for column, cell in row.items() if column and cell is not None}
                if any(column not in cells for column in columns):
                    expected = ", ".join(columns)
                    raise RunError(f"{run.path / name} is damaged: expected the columns {expected}; train again")
                yield cells
        except csv.Error as error:
            raise RunError(f"{run.path / name} is damaged ({error}); train again") from None


def _text(run: Run, name: str) -> str:
    with _opened(run, name) as file:
        return file.read()


@contextmanager
def _opened(run: Run, name: str) -> Iterator[TextIO]:
    try:
        with (run.path / name).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield file
    except OSError:
        raise RunError(f"{run.path} has no {name}: expected a run directory that `finetune train` finished") from None
