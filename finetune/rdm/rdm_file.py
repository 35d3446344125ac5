"""The file of matrices, in the layout that `rsatoolbox.rdm.load_rdm` reads."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from finetune.choices import Dissimilarity
from finetune.rdm.activations import Activations
from finetune.rdm.pairs import Pairs, pair_count

# As rsatoolbox names what its own functions compute; it has no cosine.
MEASURES = {"correlation": "correlation", "euclidean": "squared euclidean", "cosine": "cosine"}
DISSIMILARITIES = "dissimilarities"


class Agreement(NamedTuple):
    """How far two matrices agree: of a layer of the first file, and a layer of the second."""

    layer: str
    other: str
    spearman: float
    kendall_tau_a: float
    linear_cka: float


AGREEMENTS = Agreement._fields[2:]


def lay_out(
    path: Path,
    sources: Sequence[Activations],
    stimuli: NDArray[np.intp],
    skipped: Mapping[int, str],
    metric: Dissimilarity,
) -> dict[str, int]:
    """Write everything but the numbers; return where they belong: the bytes at which each of their datasets begins.

    They are written as plain bytes, since h5py ends with several tracebacks on a full disk. The descriptors of a
    pattern are its name and the columns of the CSV, those of a matrix are where it comes from.
    """
    first = sources[0]
    layers = [(layer.name, source) for source in sources for layer in source.layers]
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["dissimilarity_measure"] = MEASURES[metric]
        file.create_group("descriptors")
        matrices = file.create_group("rdm_descriptors")
        matrices["index"] = np.arange(len(layers))
        matrices["layer"] = _ascii(layer for layer, _ in layers)
        matrices["file"] = _ascii(source.path.name for _, source in layers)
        for name in ("network", "model_sha256"):
            matrices[name] = _ascii(source.about.get(name, "") for _, source in layers)
        patterns = file.create_group("pattern_descriptors")
        for name, texts in {**first.columns, "path": first.names}.items():
            patterns[name] = _ascii(texts[number] for number in stimuli)
        if skipped:
            file["skipped/path"] = _ascii(first.names[number] for number in skipped)
            file["skipped/reason"] = _ascii(skipped.values())
        numbers: dict[str, tuple[int, ...]] = {DISSIMILARITIES: (len(layers), pair_count(len(stimuli)))}
        if len(sources) == 2:
            compared = list(product(*([layer.name for layer in source.layers] for source in sources)))
            file["agreement/layer"], file["agreement/other"] = map(_ascii, zip(*compared, strict=True))
            numbers |= {f"agreement/{name}": (len(compared),) for name in AGREEMENTS}
        return {name: _reserve(file, name, shape) for name, shape in numbers.items()}


def write_agreement(file: BinaryIO, offsets: Mapping[str, int], agreements: Sequence[Agreement]) -> None:
    """Write the agreement of every pair of layers, which rsatoolbox does not read."""
    for name in AGREEMENTS:
        numbers = np.array([getattr(agreement, name) for agreement in agreements])
        Pairs(file, offsets[f"agreement/{name}"], len(numbers)).write(slice(0, len(numbers)), numbers)


def _reserve(file: Any, name: str, shape: tuple[int, ...]) -> int:
    """Create a dataset with a fixed place; return that."""
    places = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    places.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    places.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return int(file.create_dataset(name, shape, np.float64, dcpl=places).id.get_offset())


def _ascii(texts: Iterable[str]) -> NDArray[np.bytes_]:
    r"""Return texts as bytes of a fixed length, which is all that rsatoolbox reads as text: ü becomes \xfc."""
    return np.array([text.encode("ascii", "backslashreplace") for text in texts], np.bytes_)
