"""How rows are encoded as JSON lines, CSV and NumPy arrays; `parquet.py` has the one format that needs a library."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from finetune.networks.layers import Shape
from finetune.prediction import Prediction
from finetune.scoring.rows import ScoreRow, layer_values
from finetune.scoring.score_options import ScoreOptions
from finetune.system.csv_cells import write_rows


class Format(ABC):
    """How rows are written, in whole batches, to one file or more, so that a stopped run can be resumed.

    `names`: the names of the files, next to `out` or `out` itself. While a file is written, it is open at its end.
    """

    def __init__(self, out: Path, options: ScoreOptions) -> None:
        self.names: tuple[str, ...] = (out.name,)
        self._options = options

    @abstractmethod
    def start(self, parts: Sequence[BinaryIO]) -> None:
        """Write what each file begins with."""

    @abstractmethod
    def append(self, parts: Sequence[BinaryIO], rows: Sequence[ScoreRow], first: int) -> None:
        """Write some rows to each file; `first` rows are written already."""

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Turn `part`, which has `count` rows, into `target`, whole at once; if stopped, it can be called again."""
        part.replace(target)


class AppendedFormat(Format):
    """A format whose rows are bytes at the end of each file."""

    def begin(self) -> tuple[bytes, ...]:
        """Return the first bytes of each file."""
        return (b"",)

    @abstractmethod
    def encode(self, rows: Sequence[ScoreRow]) -> Iterable[bytes | memoryview]:
        """Return the bytes that some rows append to each file."""

    def start(self, parts: Sequence[BinaryIO]) -> None:
        """Write the first bytes of each file."""
        for part, data in zip(parts, self.begin(), strict=True):
            part.write(data)

    def append(self, parts: Sequence[BinaryIO], rows: Sequence[ScoreRow], first: int) -> None:
        """Append the bytes of some rows to each file."""
        for part, data in zip(parts, self.encode(rows), strict=True):
            part.write(data)


class JsonLinesFormat(AppendedFormat):
    """One JSON object a line, as `Prediction.to_json` returns it."""

    def encode(self, rows: Sequence[ScoreRow]) -> tuple[bytes, ...]:
        """Return one line per row."""
        return ("".join(f"{json.dumps(self._object(row))}\n" for row in _predictions(rows)).encode(),)

    def _object(self, row: Prediction) -> dict[str, Any]:
        fields = row.to_json()
        if self._options.probabilities and row.probabilities is not None:
            fields["probabilities"] = row.probabilities.tolist()
        return fields


class CsvFormat(AppendedFormat):
    """One line per row, with columns for each of the `top` classes."""

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

    def encode(self, rows: Sequence[ScoreRow]) -> tuple[bytes, ...]:
        """Return one line per row; if it is abstained, its first class has a probability but no index and label."""
        return (_csv(self._cells(row) for row in _predictions(rows)),)

    def _cells(self, row: Prediction) -> list[Any]:
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


class NpyFormat(AppendedFormat):
    """Features as one array (rows, …) for each layer, and in FILE.csv the path and the error of every row.

    One layer is FILE itself; several are named after it and the layer. An image that cannot be read is a row of NaN.
    """

    def __init__(self, out: Path, options: ScoreOptions, shapes: Mapping[str, Shape]) -> None:
        super().__init__(out, options)
        files = [f"{out.stem}.{layer.replace(':', '_')}{out.suffix}" for layer in shapes]
        self.names = (f"{out.name}.csv", *(files if len(files) > 1 else [out.name]))
        self._shapes = shapes

    def begin(self) -> tuple[bytes, ...]:
        """Return the header of the CSV and those of arrays without rows."""
        return _csv([("path", "error")]), *(self._header(0, shape) for shape in self._shapes.values())

    def encode(self, rows: Sequence[ScoreRow]) -> Iterator[bytes | memoryview]:
        """Yield the lines, then the values of each layer, one at a time."""
        yield _csv([str(row.path), row.error] for row in rows)
        for layer, shape in self._shapes.items():
            yield np.stack(list(layer_values(rows, layer, shape, self._options.dtype))).data

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Write the number of rows into the array's header."""
        shapes = dict(zip(self.names[1:], self._shapes.values(), strict=True))
        if target.name in shapes:
            with part.open("r+b") as file:
                file.write(self._header(count, shapes[target.name]))
                os.fsync(file.fileno())
        super().finish(part, target, count)

    def _header(self, count: int, shape: Shape) -> bytes:
        """Return the header, which is equally long for every count: NumPy leaves room for 21 digits."""
        header = BytesIO()
        descr = np.dtype(self._options.dtype).newbyteorder("<").str
        fields = {"descr": descr, "fortran_order": False, "shape": (count, *shape)}
        np.lib.format.write_array_header_1_0(header, fields)
        return header.getvalue()


_SCORE = ("index", "label", "probability")


def _predictions(rows: Sequence[ScoreRow]) -> Sequence[Prediction]:
    """Return rows without features, as those of these formats are: `choose_format` refuses them for others."""
    return cast(Sequence[Prediction], rows)


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = StringIO(newline="")
    write_rows(text, rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
