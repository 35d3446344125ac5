"""How rows become files: JSON lines, CSV, NumPy arrays; Parquet stands in a module of its own."""

import json
import os
from collections.abc import Iterable, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np

from finetune.classifier import Classifier, Prediction
from finetune.errors import UsageError
from finetune.networks.layers import Shape
from finetune.scoring.rows import Row, ScoreOptions
from finetune.system.csv_cells import write_rows

ENDINGS = (".jsonl", ".csv", ".parquet", ".npy")


class Format:
    """How rows are appended to one file or more; this one writes JSON lines, as `Prediction.to_json` gives them.

    `names`: of the files, the one that was asked for last. Whole batches are appended, so that a stopped run can go
    on; `finish` makes what was appended to one file the finished file.
    """

    def __init__(self, out: Path, options: ScoreOptions) -> None:
        self.names: tuple[str, ...] = (out.name,)
        self._options = options

    def begin(self) -> tuple[bytes, ...]:
        """Return what each file begins with."""
        return (b"",)

    def encode(self, rows: Sequence[Row]) -> tuple[bytes, ...]:
        """Return what is appended to each file for some rows."""
        return ("".join(f"{json.dumps(self._object(row))}\n" for row in rows).encode(),)

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Turn `part` with its `count` rows into `target`, whole at once; what is stopped here can be done again."""
        part.replace(target)

    def _object(self, row: Row) -> dict[str, Any]:
        assert isinstance(row, Prediction)
        fields = row.to_json()
        if self._options.probabilities and row.probabilities is not None:
            fields["probabilities"] = row.probabilities.tolist()
        return fields


class CsvFormat(Format):
    """One line a row, with columns for every one of the `top` classes."""

    def __init__(self, out: Path, options: ScoreOptions, class_names: tuple[str, ...]) -> None:
        super().__init__(out, options)
        self._class_names = class_names
        self._top = min(options.top, len(class_names))

    def begin(self) -> tuple[bytes, ...]:
        """Return the header: path, index, label, probability, then index_2 and so on, and error last."""
        ranked = (f"{name}{f'_{rank}' if rank > 1 else ''}" for rank in range(1, self._top + 1) for name in _SCORE)
        abstained = ("abstained",) if self._options.abstain_below else ()
        classes = (f"p:{name}" for name in self._class_names) if self._options.probabilities else ()
        return (_csv([("path", *ranked, *abstained, *classes, "error")]),)

    def encode(self, rows: Sequence[Row]) -> tuple[bytes, ...]:
        """Return one line a row; a class that was abstained from has its probability only."""
        return (_csv(self._cells(row) for row in rows),)

    def _cells(self, row: Row) -> list[Any]:
        assert isinstance(row, Prediction)
        cells: list[Any] = [str(row.path)]
        for rank in range(self._top):
            if rank >= len(row.scores):
                cells += [None] * len(_SCORE)
                continue
            score = row.scores[rank]
            named = [None, None] if row.abstained and not rank else [score.index, score.label]
            cells += [*named, score.probability]
        if self._options.abstain_below:
            cells.append(None if row.error else str(row.abstained).lower())
        if self._options.probabilities:
            cells += [None] * len(self._class_names) if row.probabilities is None else row.probabilities.tolist()
        return [*cells, row.error]


class NpyFormat(Format):
    """Features as one array float32 (rows, …), and beside it, as FILE.csv, the path and the error of every row.

    What cannot be read is a row of NaN.
    """

    def __init__(self, out: Path, options: ScoreOptions, shape: Shape) -> None:
        super().__init__(out, options)
        self.names = (f"{out.name}.csv", out.name)
        self._shape = shape

    def begin(self) -> tuple[bytes, ...]:
        """Return the header of the CSV and that of an array without rows."""
        return _csv([("path", "error")]), self._header(0)

    def encode(self, rows: Sequence[Row]) -> tuple[bytes, ...]:
        """Return the lines and the values of some rows."""
        values = [_NAN if isinstance(row, Prediction) or row.values is None else row.values for row in rows]
        array = np.stack([np.broadcast_to(value, self._shape) for value in values]).astype("<f4")
        return _csv([str(row.path), row.error] for row in rows), array.tobytes()

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Write the number of rows into the array's header."""
        if target.name == self.names[-1]:
            with part.open("r+b") as file:
                file.write(self._header(count))
                os.fsync(file.fileno())
        super().finish(part, target, count)

    def _header(self, count: int) -> bytes:
        """Return the header, of one length whatever the count: NumPy leaves room for 21 digits."""
        header = BytesIO()
        fields = {"descr": "<f4", "fortran_order": False, "shape": (count, *self._shape)}
        np.lib.format.write_array_header_1_0(header, fields)
        return header.getvalue()


def format_of(out: Path, classifier: Classifier, options: ScoreOptions) -> Format:
    """Return the format that the ending of `out` means; raise UsageError when it cannot hold what is asked for."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(f"--out {out}: expected an ending of {', '.join(ENDINGS)}")
    if options.features is None and ending == ".npy":
        raise UsageError(f"--out {out}: .npy holds features; add --features LAYER, or choose .jsonl, .csv or .parquet")
    if options.features is not None and ending in (".jsonl", ".csv"):
        raise UsageError(f"--out {out}: features are numbers by the thousand; choose .npy or .parquet")
    shape = () if options.features is None else classifier.feature_shape(options.features, options.pool)
    if ending == ".parquet":
        from finetune.scoring.parquet import ParquetFormat

        return ParquetFormat(out, options, classifier.class_names, shape)
    if ending == ".npy":
        return NpyFormat(out, options, shape)
    return CsvFormat(out, options, classifier.class_names) if ending == ".csv" else Format(out, options)


_SCORE = ("index", "label", "probability")
_NAN = np.full((), np.nan, np.float32)


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO(newline="")
    write_rows(text, rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
