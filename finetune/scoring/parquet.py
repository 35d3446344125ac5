"""Rows as a Parquet file. Until the end they are Arrow record batches, since Parquet itself cannot be appended to."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from finetune.errors import UsageError
from finetune.networks.layers import Shape
from finetune.prediction import Prediction
from finetune.scoring.formats import AppendedFormat
from finetune.scoring.rows import ScoreRow, layer_values
from finetune.scoring.score_options import ScoreOptions
from finetune.system.atomic import replacing
from finetune.system.extras import needs

try:
    import pyarrow as pa
    from pyarrow import ipc
    from pyarrow import parquet as pq
except ImportError:
    raise UsageError(f"writing .parquet {needs('pyarrow')}, or choose another ending") from None

ROW_GROUP = 16 << 20  # bytes before compression: few enough to hold in memory, many enough to compress well


class ParquetFormat(AppendedFormat):
    """The fields of the JSON rows as columns, or, for features, path, features (flattened) and error.

    Several layers are columns with their names. The file's metadata holds JSON under the key `finetune`: class_names,
    the layer and the shape of its features, or `layers`, the shape of each by its name.
    """

    def __init__(
        self, out: Path, options: ScoreOptions, class_names: tuple[str, ...], shapes: Mapping[str, Shape]
    ) -> None:
        super().__init__(out, options)
        score = pa.struct([("index", pa.int32()), ("label", pa.string()), ("probability", pa.float64())])
        description: dict[str, Any]
        number = pa.float16() if options.dtype == "float16" else pa.float32()
        self._layers = {layer if len(shapes) > 1 else "features": layer for layer in shapes}  # by column
        self._shapes = shapes
        if shapes:
            columns = [(name, pa.list_(number, prod(shapes[layer]))) for name, layer in self._layers.items()]
            ((layer, shape), *several) = shapes.items()
            description = {"layers": dict(shapes)} if several else {"layer": layer, "shape": shape}
        else:
            columns = [("predictions", pa.list_(score)), ("abstained", pa.bool_())]
            columns += [("probabilities", pa.list_(pa.float64()))] if options.probabilities else []
            description = {"class_names": class_names}
        metadata = {"finetune": json.dumps(description)}
        self._schema = pa.schema([("path", pa.string()), *columns, ("error", pa.string())], metadata)

    def encode(self, rows: Sequence[ScoreRow]) -> tuple[bytes, ...]:
        """Return one record batch as an Arrow message."""
        arrays = [self._column(column, rows) for column in self._schema]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return (batch.serialize().to_pybytes(),)

    def _column(self, column: Any, rows: Sequence[ScoreRow]) -> Any:
        """Return the rows of one column as an Arrow array."""
        if column.name not in self._layers:
            return pa.array([_cell(row, column.name) for row in rows], column.type)
        layer = self._layers[column.name]
        values = layer_values(rows, layer, self._shapes[layer], self._options.dtype)
        cells = [None if row.error else np.ravel(value) for row, value in zip(rows, values, strict=True)]
        return pa.array(cells, column.type)

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Write the record batches to one Parquet file, in row groups of some megabytes."""
        with replacing(target) as temporary, pq.ParquetWriter(temporary, self._schema) as writer:
            for batches in self._row_groups(part):
                writer.write_table(pa.Table.from_batches(batches).combine_chunks())
        part.unlink()

    def _row_groups(self, part: Path) -> Iterator[list[Any]]:
        """Yield lists of record batches, each just over ROW_GROUP bytes, the last one smaller."""
        batches: list[Any] = []
        size_of_batches = 0
        with pa.OSFile(str(part)) as file:
            size = file.size()
            while file.tell() < size:
                batches.append(ipc.read_record_batch(ipc.read_message(file), self._schema))
                size_of_batches += batches[-1].nbytes
                if size_of_batches >= ROW_GROUP:
                    yield batches
                    batches, size_of_batches = [], 0
        if batches:
            yield batches


def _cell(row: ScoreRow, column: str) -> Any:
    """Return one cell; bytes of a file name that are not UTF-8 become replacement characters."""
    match column:
        case "path" | "error":
            text = getattr(row, column)
            return None if text is None else str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        case "predictions":
            return None if not isinstance(row, Prediction) or row.error is not None else row.to_json()["predictions"]
        case _:
            return None if row.error is not None else getattr(row, column)
