"""What a training leaves, whether by gradient or as a linear probe."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset, Record
from finetune.networks.initialize import Arrays


@dataclass(frozen=True)
class Outcome:
    """A model, and its output for images that it was not fitted on.

    `dataset`: the images that can be read. `weights`: of all layers. `judged`: the images that the metrics are of, with
    `logits`, (images, classes). `temperature`: what the logits are divided by in use. `metrics`: for metrics.json and
    the model's file, `kept` (finetune.choices.Kept) among them. `interrupted`: by Ctrl-C.
    """

    dataset: Dataset
    weights: Arrays
    judged: tuple[Record, ...]
    logits: NDArray[np.floating[Any]]
    temperature: float
    metrics: Mapping[str, Any]
    interrupted: bool = False

    def labels(self) -> NDArray[np.int32]:
        """Return the classes of the images in `judged`, (images,)."""
        return np.array([record.label for record in self.judged], np.int32)
