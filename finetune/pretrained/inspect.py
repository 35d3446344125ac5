"""What is in a weights file: what `weights inspect` shows."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.formats.read_weights import read_weights
from finetune.formats.weights_file import Array
from finetune.networks.layers import Shape
from finetune.pretrained.infer import fitting_networks


@dataclass(frozen=True)
class TensorFacts:
    """One tensor: its shape as this package holds it, the file's dtype, and the range of its values.

    `min`, `max` and `mean` are None where the tensor has values that are no finite numbers.
    """

    name: str
    shape: Shape
    dtype: str
    min: float | None
    max: float | None
    mean: float | None


@dataclass(frozen=True)
class FileFacts:
    """One weights file. `networks`: the names of those whose layers and shapes it has exactly, often none or two."""

    path: str
    format: str
    bytes: int
    sha256: str
    networks: tuple[str, ...]
    layers: tuple[str, ...]
    tensors: tuple[TensorFacts, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON knows them; `tensors` is a list with one object a tensor."""
        return asdict(self)


def inspect_weights(path: Path) -> FileFacts:
    """Return the facts about a weights file of any format; raise WeightsError when it cannot be read."""
    file = read_weights(path)
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return FileFacts(
        path=str(path),
        format=file.format,
        bytes=path.stat().st_size,
        sha256=digest,
        networks=tuple(network.name for network in fitting_networks(file)),
        layers=tuple(file.layers()),
        tensors=tuple(_facts(name, tensor) for name, tensor in file.tensors.items()),
    )


def _facts(name: str, tensor: Array) -> TensorFacts:
    with np.errstate(all="ignore"):  # sums of infinities
        values = [float(tensor.min()), float(tensor.max()), float(tensor.mean(dtype=np.float64))]
    if not np.isfinite(values).all():
        return TensorFacts(name, tensor.shape, tensor.dtype.name, None, None, None)
    return TensorFacts(name, tensor.shape, tensor.dtype.name, *values)
