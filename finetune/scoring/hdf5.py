"""Features as HDF5: a dataset for each layer, with a row for each image.

h5py lays the whole file out before the first image is scored: every dataset is contiguous, so every row has its place.
Rows are then written there as plain bytes. So a stopped run can be resumed to the same bytes, memory does not grow, and
everything is written only once.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from finetune.errors import RunError
from finetune.networks.layers import Shape
from finetune.scoring.formats import Format
from finetune.scoring.input_list import InputList, as_bytes
from finetune.scoring.rows import ScoreRow, layer_values
from finetune.scoring.score_options import ScoreOptions

LONGEST_ERROR = 256  # bytes; a longer reason is cut off
CSV_LINES = 1_000  # in memory at once


@dataclass(frozen=True)
class Hdf5Dataset:
    """One dataset of the file: its path in it, and the type and shape of one image's row."""

    name: str
    dtype: np.dtype[Any]
    shape: Shape = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Hdf5Format(Format):
    """A dataset for each layer, `path`, `error`, and in the group `columns` the other columns of a CSV or Parquet list.

    A layer is (images, height, width, channels) or (images, units), NaN for an image that was not read. Texts are bytes
    of a fixed length, in UTF-8. `about` becomes the attributes of the file; a layer has its name and its axes.
    """

    header = b""  # before the HDF5 itself
    columns_attributes: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        out: Path,
        options: ScoreOptions,
        shapes: Mapping[str, Shape],
        inputs: InputList,
        about: Mapping[str, str],
    ) -> None:
        super().__init__(out, options)
        self._inputs, self._about = inputs, about
        self._layers = {layer: self.layer_dataset(layer, shape) for layer, shape in shapes.items()}
        self._shapes = shapes
        self._path = self.text_dataset("path", inputs.longest)
        self._error = self.text_dataset("error", LONGEST_ERROR)
        names = _distinct(self.column_name(column) for column in inputs.columns)
        self._columns = [
            self.text_dataset(f"columns/{name}", longest)
            for name, longest in zip(names, inputs.columns.values(), strict=True)
        ]
        self._offsets: dict[str, int] = {}

    def layer_dataset(self, layer: str, shape: Shape) -> Hdf5Dataset:
        """Return the dataset of a layer."""
        axes = "image,height,width,channel" if len(shape) == 3 else "image,channel"
        return Hdf5Dataset(layer, np.dtype(self._options.dtype), shape, {"layer": layer, "axes": axes})

    def text_dataset(self, name: str, longest: int) -> Hdf5Dataset:
        """Return a dataset of texts of up to `longest` bytes; it is not tagged as UTF-8, which Octave cannot read."""
        return Hdf5Dataset(name, np.dtype(f"S{max(1, longest)}"))

    def column_name(self, column: str) -> str:
        """Return the name for a column of the CSV, with _ for what HDF5 does not allow."""
        return re.sub(r"[/\0]|^\.+$", "_", column)

    def values(self, output: NDArray[Any]) -> NDArray[Any]:
        """Return a layer's output for one image with the axes in the order of the file."""
        return output

    def texts(self, dataset: Hdf5Dataset, texts: Iterable[str | None]) -> NDArray[Any]:
        """Return the rows of some texts."""
        return np.array([as_bytes(text or "") for text in texts], dataset.dtype)

    def start(self, parts: Sequence[BinaryIO]) -> None:
        """Lay the file out, and write the columns of the CSV."""
        (part,) = parts
        self._lay_out(part.name)
        part.write(self.header)
        lines, first = self._inputs.lines(), 0
        while batch := list(islice(lines, CSV_LINES)):
            for dataset, cells in zip(self._columns, zip(*batch, strict=True), strict=True):
                self._put(part, dataset, first, [self.texts(dataset, cells)])
            first += len(batch)
        part.seek(0, os.SEEK_END)

    def append(self, parts: Sequence[BinaryIO], rows: Sequence[ScoreRow], first: int) -> None:
        """Write some rows at their places."""
        (part,) = parts
        if first + len(rows) > self._inputs.count:
            raise self._changed(f"{first + len(rows)} or more")
        for layer, dataset in self._layers.items():
            values = layer_values(rows, layer, self._shapes[layer], self._options.dtype)
            self._put(part, dataset, first, map(self.values, values))
        self._put(part, self._path, first, [self.texts(self._path, [str(row.path) for row in rows])])
        self._put(part, self._error, first, [self.texts(self._error, [_shortened(row.error) for row in rows])])
        part.seek(0, os.SEEK_END)  # where `ResumableOutput` expects it

    def finish(self, part: Path, target: Path, count: int) -> None:
        """Move the file to its name."""
        if count != self._inputs.count:
            raise self._changed(str(count))
        super().finish(part, target, count)

    def _datasets(self) -> list[Hdf5Dataset]:
        return [*self._layers.values(), self._path, self._error, *self._columns]

    def _lay_out(self, path: str) -> None:
        places = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        places.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        places.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # the file is sparse until its rows are written
        with h5py.File(path, "w", userblock_size=len(self.header), locking=False) as file:
            file.attrs.update(self._about)
            if self._columns:
                file.create_group("columns").attrs.update(self.columns_attributes)
            for dataset in self._datasets():
                shape = (self._inputs.count, *dataset.shape)
                file.create_dataset(dataset.name, shape, dataset.dtype, dcpl=places).attrs.update(dataset.attributes)

    def _put(self, part: BinaryIO, dataset: Hdf5Dataset, first: int, pieces: Iterable[NDArray[Any]]) -> None:
        """Write rows at their place in a dataset."""
        if not self._offsets:
            self._offsets = self._read_offsets(part.name)
        part.seek(self._offsets[dataset.name] + first * prod(dataset.shape) * dataset.dtype.itemsize)
        for piece in pieces:  # one by one, since a batch of all layers takes much memory
            part.write(np.ascontiguousarray(piece, dataset.dtype).data)

    def _read_offsets(self, path: str) -> dict[str, int]:
        """Return where each dataset begins; raise RunError if the file was laid out for other inputs."""
        with h5py.File(path, "r", locking=False) as file:
            for dataset in self._datasets():
                found = file.get(dataset.name)
                expected = (self._inputs.count, *dataset.shape), dataset.dtype
                if found is None or (found.shape, found.dtype) != expected:
                    raise RunError(
                        f"{path} was started for other inputs than these {self._inputs.count}; give the same to "
                        "resume, or --overwrite to start again"
                    )
            return {dataset.name: file[dataset.name].id.get_offset() for dataset in self._datasets()}

    def _changed(self, found: str) -> RunError:
        return RunError(
            f"expected the {self._inputs.count} images that the inputs had at the start, but there are {found}; "
            "restore them and continue with --resume, or start again with --overwrite"
        )


def _distinct(names: Iterable[str]) -> list[str]:
    """Return the names, with _ after one that an earlier one has."""
    found: list[str] = []
    for name in names:
        while name in found:
            name += "_"
        found.append(name)
    return found


def _shortened(error: str | None) -> str | None:
    return error and as_bytes(error)[:LONGEST_ERROR].decode("utf-8", "ignore")
