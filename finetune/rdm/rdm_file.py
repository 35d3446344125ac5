"""The file of matrices, in the layout that `rsatoolbox.rdm.load_rdm` reads."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Dissimilarity
from finetune.rdm.activations import Activations
from finetune.rdm.pairs import pair_count

# As rsatoolbox names what its own functions compute; it has no cosine.
MEASURES = {"correlation": "correlation", "euclidean": "squared euclidean", "cosine": "cosine"}


class Agreement(NamedTuple):
    """How far two matrices agree: of a layer of the first file, and a layer of the second."""

    layer: str
    other: str
    spearman: float
    kendall_tau_a: float
    linear_cka: float


def lay_out(
    file: Any,
    sources: Sequence[Activations],
    stimuli: NDArray[np.intp],
    skipped: Mapping[int, str],
    metric: Dissimilarity,
) -> Any:
    """Write everything but the dissimilarities; return their dataset, (matrices, pairs).

    The descriptors of a pattern are its name and the columns of the CSV, those of a matrix are where it comes from.
    """
    first = sources[0]
    layers = [(layer.name, source) for source in sources for layer in source.layers]
    file.attrs["dissimilarity_measure"] = MEASURES[metric]
    file.create_group("descriptors")
    matrices = file.create_group("rdm_descriptors")
    matrices["index"] = np.arange(len(layers))
    matrices["layer"] = _ascii([layer for layer, _ in layers])
    matrices["file"] = _ascii([source.path.name for _, source in layers])
    for name in ("network", "model_sha256"):
        matrices[name] = _ascii([source.about.get(name, "") for _, source in layers])
    patterns = file.create_group("pattern_descriptors")
    for name, texts in ({**first.columns, "path": first.names}).items():
        patterns[name] = _ascii([texts[number] for number in stimuli])
    if skipped:
        group = file.create_group("skipped")
        group["path"] = _ascii([first.names[number] for number in skipped])
        group["reason"] = _ascii(list(skipped.values()))
    return file.create_dataset("dissimilarities", (len(layers), pair_count(len(stimuli))), np.float64)


def write_agreement(file: Any, agreements: Sequence[Agreement]) -> None:
    """Add the agreement of every pair of layers, which rsatoolbox does not read."""
    group = file.create_group("agreement")
    for name, column in zip(Agreement._fields, zip(*agreements, strict=True), strict=True):
        group[name] = _ascii(column) if isinstance(column[0], str) else np.array(column)


def _ascii(texts: Sequence[str]) -> NDArray[np.bytes_]:
    r"""Return texts as bytes of a fixed length, which is all that rsatoolbox reads as text: ü becomes \xfc."""
    return np.array([text.encode("ascii", "backslashreplace") for text in texts], np.bytes_)


