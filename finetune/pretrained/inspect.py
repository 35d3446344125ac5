"""The facts about a weights file that `finetune weights inspect` shows."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.formats.read_weights import read_weights
from finetune.formats.tf_checkpoint import checkpoint_data, checkpoint_index
from finetune.formats.weights_file import Array
from finetune.networks.layers import Shape
from finetune.pretrained.catalogue import entry_of
from finetune.pretrained.infer import fitting_networks
from finetune.pretrained.verify import why_unverified
from finetune.system.digest import sha256_of_file


@dataclass(frozen=True)
class TensorFacts:
    """One tensor: its shape in this package's axis order, the file's dtype, and the range of its values.

    `min`, `max` and `mean` are None if any value is not finite.
    """

    name: str
    shape: Shape
    dtype: str
    min: float | None
    max: float | None
    mean: float | None


@dataclass(frozen=True)
class FileFacts:
    """One weights file. `networks`: the names of all that have exactly its layers and shapes, often none or two.

    `sha256`: of a TensorFlow checkpoint, that of its .index, which has a checksum of every tensor. `published`: the
    published weights with a file of this name, if any; `unverified`: why it may not be theirs.
    """

    path: str
    format: str
    bytes: int
    sha256: str
    networks: tuple[str, ...]
    layers: tuple[str, ...]
    tensors: tuple[TensorFacts, ...]
    published: str | None
    unverified: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields for JSON; `tensors` is a list with one object per tensor."""
        return asdict(self)


def inspect_weights(path: Path) -> FileFacts:
    """Return the facts about a weights file of any format; raise WeightsError if it cannot be read."""
    path = checkpoint_index(path)
    file, entry = read_weights(path), entry_of(path.name)
    return FileFacts(
        path=str(path),
        format=file.format,
        bytes=sum(each.stat().st_size for each in (path, *checkpoint_data(path))),
        sha256=sha256_of_file(path),
        networks=tuple(network.name for network in fitting_networks(file)),
        layers=tuple(file.layers()),
        tensors=tuple(_facts(name, tensor) for name, tensor in file.tensors.items()),
        published=entry.name if entry else None,
        unverified=why_unverified(path),
    )


def _facts(name: str, tensor: Array) -> TensorFacts:
    with np.errstate(all="ignore"):  # sums of infinities
        values = [float(tensor.min()), float(tensor.max()), float(tensor.mean(dtype=np.float64))]
    if not np.isfinite(values).all():
        return TensorFacts(name, tensor.shape, tensor.dtype.name, None, None, None)
    return TensorFacts(name, tensor.shape, tensor.dtype.name, *values)
