"""Files of features as `finetune score --features` writes them, with values that a test chooses."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray


def write_activations(
    path: Path,
    layers: Mapping[str, NDArray[np.floating]],
    names: Sequence[str] | None = None,
    errors: Mapping[int, str] | None = None,
    columns: Mapping[str, Sequence[str]] | None = None,
    network: str = "alexnet",
) -> Path:
    """Write a file of layers, in this order, and return its path; `errors`: by the number of the stimulus."""
    count = len(next(iter(layers.values())))
    names = names or [f"{number}.png" for number in range(count)]
    with h5py.File(path, "w") as file:
        file.attrs["network"], file.attrs["model_sha256"] = network, "ab"
        for layer, values in layers.items():
            file[layer] = values
            file[layer].attrs["layer"] = layer
        file["path"] = np.array([name.encode() for name in names])
        file["error"] = np.array([(errors or {}).get(number, "").encode() for number in range(count)], "S40")
        for name, cells in (columns or {}).items():
            file[f"columns/{name}"] = np.array([cell.encode() for cell in cells])
    return path


def random_layers(stimuli: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Return a layer of maps, after a ReLU, and a vector, whose means are not 0."""
    random = np.random.default_rng(seed)
    maps = np.maximum(random.normal(0.3, 1, (stimuli, 3, 3, 5)), 0)
    return {"conv5": maps.astype(np.float32), "fc7": random.normal(2, 3, (stimuli, 20)).astype(np.float32)}
