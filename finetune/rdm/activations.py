"""The HDF5 file that `finetune score --features LAYERS` writes: for each layer, a matrix with a row per stimulus."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from finetune.errors import DataError

WRITE_ONE = "give what `finetune score --features LAYERS --out FILE.h5` wrote"


@dataclass(frozen=True)
class LayerMatrix:
    """The outputs of a layer, (stimuli, units): where they are in the file, from which parts are read."""

    name: str
    path: Path
    offset: int  # of the first number, in bytes
    dtype: np.dtype[Any]
    stimuli: int
    units: int

    def read(self, stimuli: NDArray[np.intp], start: int, stop: int) -> NDArray[np.float64]:
        """Return the units from `start` to `stop` of some stimuli; raise DataError if the file ends before them.

        A mapped file would count as memory with all pages around those that are used.
        """
        part = np.empty((len(stimuli), stop - start), self.dtype)
        with self.path.open("rb", buffering=0) as file:
            for row, number in zip(part, stimuli.tolist(), strict=True):
                file.seek(self.offset + (number * self.units + start) * self.dtype.itemsize)
                if file.readinto(row.data) != row.nbytes:
                    raise DataError(f"{self.path}: {self.name} is cut short; {WRITE_ONE}")
        return part.astype(np.float64)


@dataclass(frozen=True)
class Activations:
    """What the file holds: the layers in forward order, and for each stimulus its name, its error and its columns.

    `errors`: why an image was not read, otherwise "". `columns`: the other columns of the CSV of stimuli. `about`: the
    attributes of the file, such as `network`.
    """

    path: Path
    layers: tuple[LayerMatrix, ...]
    names: tuple[str, ...]
    errors: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    about: Mapping[str, str]


def read_activations(path: Path) -> Activations:
    """Return what a file holds; its layers stay in the file until they are read.

    Raises DataError for a file that cannot be read, that has no names of stimuli or no layers, and for a layer that has
    another number of rows than names or is not stored in one piece.
    """
    try:
        with path.open("rb"), h5py.File(path, "r", locking=False) as content:  # the first error says what is wrong
            found = _without_links(content)
            if not _is_text(found.get("path")):
                raise DataError(f"{path}: expected a dataset path with the names of the stimuli; {WRITE_ONE}")
            names = _texts(found["path"])
            layers = [dataset for dataset in found.values() if _is_layer(dataset)]
            if not layers:
                raise DataError(f"{path}: expected a dataset for each layer, but it has none; {WRITE_ONE}")
            for dataset in layers:
                _check(path, dataset, len(names))
            layers.sort(key=lambda dataset: dataset.id.get_offset())  # as laid out; HDF5 lists them by name
            columns = _without_links(found["columns"]) if isinstance(found.get("columns"), h5py.Group) else {}
            return Activations(
                path,
                tuple(_matrix(path, dataset) for dataset in layers),
                names,
                _texts(found["error"]) if _is_text(found.get("error"), len(names)) else ("",) * len(names),
                {name: _texts(column) for name, column in columns.items() if _is_text(column, len(names))},
                {name: str(value) for name, value in content.attrs.items()},
            )
    except OSError as error:
        reason = error.strerror or "it is not HDF5"
        raise DataError(f"{path} cannot be read ({reason}): expected an HDF5 file of features; {WRITE_ONE}") from None


def _without_links(group: Any) -> dict[str, Any]:
    """Return what is in the group itself: a link may lead to another file."""
    return {name: group[name] for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)}


def _is_text(dataset: Any, count: int | None = None) -> bool:
    """Return whether something is a dataset of texts, of `count` texts if that is given."""
    is_text = isinstance(dataset, h5py.Dataset) and dataset.ndim == 1 and dataset.dtype.kind in "SO"
    return is_text and count in (None, len(dataset))


def _is_layer(dataset: Any) -> bool:
    return isinstance(dataset, h5py.Dataset) and dataset.dtype.kind == "f" and dataset.ndim >= 2


def _check(path: Path, dataset: Any, stimuli: int) -> None:
    name = dataset.name[1:]
    if len(dataset) != stimuli:
        raise DataError(
            f"{path}: expected a row for each of {stimuli} stimuli in {name}, not {len(dataset)}; {WRITE_ONE}"
        )
    if dataset.id.get_offset() is None:
        raise DataError(
            f"{path}: {name} is compressed, in chunks or empty, so that parts of it cannot be read; {WRITE_ONE}, or "
            "repack it with h5repack -l CONTI -f NONE"
        )


def _matrix(path: Path, dataset: Any) -> LayerMatrix:
    name, stimuli = str(dataset.attrs.get("layer", dataset.name[1:])), len(dataset)
    return LayerMatrix(name, path, dataset.id.get_offset(), dataset.dtype, stimuli, dataset.size // stimuli)


def _texts(dataset: Any) -> tuple[str, ...]:
    return tuple(text.decode("utf-8", "surrogateescape") for text in dataset[:])
