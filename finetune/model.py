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
from finetune.pretrained.class_names import class_names_of
from finetune.pretrained.description import NOTHING_GIVEN, Description
from finetune.pretrained.infer import description_of, network_of
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


def model_of(file: WeightsFile, network: str | None = None, description: Description = NOTHING_GIVEN) -> Model:
    """Return the model in a weights file; `network` decides where several networks fit.

    Raises WeightsError for a file that fits no network, or whose class names do not fit, UsageError for a description
    of a file that describes itself.
    """
    built = description.of_network(network_of(file, network), file)
    weights = load_weights(built, file)
    about = {key: value for key, value in file.metadata.items() if key not in _DESCRIPTION}
    names = description.names(file, built.num_classes) or class_names_of(file, built.num_classes)
    return Model(built, weights, names, about)


def save_model(path: Path, model: Model) -> None:
    """Write a model to one safetensors file, which appears whole or not at all; `load_model` returns the same."""
    description = {**description_of(model.network), "class_names": list(model.class_names)}
    write_safetensors(path, model.weights, {**description, **model.about})


_DESCRIPTION = ("network", "options", "preprocessing", "class_names")
