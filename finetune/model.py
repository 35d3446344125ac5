"""A trained network in one file that describes itself: weights, preprocessing, class names and origin."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.formats.weights_file import WeightsFile
from finetune.networks.network import Network
from finetune.pretrained import imagenet
from finetune.pretrained.infer import network_of
from finetune.pretrained.load import load_weights


@dataclass(frozen=True)
class Model:
    """A network with its weights (float32, `layer/weight` -> array) and the names of its classes in order.

    `about` is the rest of the file's metadata: `source_weights` (name and SHA-256), `metrics`, `temperature`,
    `version`.
    """

    network: Network
    weights: Mapping[str, NDArray[np.float32]]
    class_names: tuple[str, ...]
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def temperature(self) -> float:
        """What the logits are divided by before the softmax, 1 by default; WeightsError for an invalid one."""
        value = self.about.get("temperature", 1.0)
        if not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise WeightsError(f"the model's temperature is {value!r}; expected a number above 0; write the file again")
        return value


def load_model(path: Path, network: str | None = None) -> Model:
    """Read a model from any weights file, as `model_of`; raise WeightsError if the file cannot be read."""
    return model_of(read_weights(path), network)


def model_of(file: WeightsFile, network: str | None = None) -> Model:
    """Return the model in a weights file; `network` decides where several networks fit.

    If the file has no class names, they are ImageNet's for 1,000 classes and `0`, `1`, … otherwise.
    Raises WeightsError for a file that fits no network.
    """
    built = network_of(file, network)
    weights = load_weights(built, file)
    about = {key: value for key, value in file.metadata.items() if key not in _DESCRIPTION}
    return Model(built, weights, _class_names(file, built.num_classes), about)


def save_model(path: Path, model: Model) -> None:
    """Write a model to one safetensors file, which appears whole or not at all; `load_model` returns the same."""
    network = model.network
    description = {
        "network": network.name,
        "options": dict(network.options),
        "preprocessing": network.preprocessing.to_json(),
        "class_names": list(model.class_names),
    }
    write_safetensors(path, model.weights, {**description, **model.about})


_DESCRIPTION = ("network", "options", "preprocessing", "class_names")


def _class_names(file: WeightsFile, count: int) -> tuple[str, ...]:
    names = file.metadata.get("class_names")
    if names is None:
        return imagenet.class_names() if count == len(imagenet.class_names()) else tuple(map(str, range(count)))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{file.path.name}: class_names is not a list of names; write the file again")
    if len(names) != count:
        raise WeightsError(f"{file.path.name} names {len(names)} classes but has {count} outputs; write the file again")
    return tuple(names)
