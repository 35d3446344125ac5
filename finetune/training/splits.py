"""What the loop trains on and validates with: the frozen layers' features of both splits."""

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from finetune.choices import SplitName
from finetune.data.dataset import Dataset, Record
from finetune.training.features import Trunk, View
from finetune.training.optimization import class_weights
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore
from finetune.training.trainable import LabelledRows


def views_of(plan: Plan, split: SplitName) -> tuple[View, ...]:
    """Return the views of an image that are computed before training.

    Validation images have one, in float32, so that what is reported of the model holds for it in use.
    """
    if split == "val":
        return (View(0, "float32"),)
    return tuple(View(number, plan.precision) for number in range(max(plan.config.views, 1)))


class Splits:
    """The features of both splits.

    `dataset`: the images that can be read. `images`: how many of them to train on. `val`: the rows to validate with.
    """

    def __init__(self, plan: Plan, trunk: Trunk, store: FeatureStore, dataset: Dataset, open_files: ExitStack) -> None:
        """Compute the features that `store` lacks; they can be read until `open_files` closes.

        Raises DataError when too few images can be read, RunError when one has changed since the split was made.
        """
        if plan.engine == "ray" and not plan.config.views:
            open_files.enter_context(trunk.workers())  # for every epoch
        wanted = {record: views_of(plan, record.split) for record in dataset.records}
        self.dataset = dataset.without(trunk.compute(wanted, store))
        self._plan, self._trunk = plan, trunk
        self._records = [record for record in self.dataset.records if record.split == "train"]
        self.images = len(self._records)
        labels = _labels(self._records)
        balanced = plan.config.class_weights == "balanced"
        self._weights = class_weights(labels, len(dataset.class_names)) if balanced else None
        self._last = open_files.enter_context(ExitStack())
        self._stored = self._rows(store, views_of(plan, "train")) if plan.config.views else None
        validation = [record for record in self.dataset.records if record.split == "val"]
        keys = [trunk.key(record.digest, view) for record in validation for view in views_of(plan, "val")]
        paths = tuple(record.path for record in validation)
        self.val = LabelledRows(store.rows(keys), _labels(validation), paths=paths)

    def train(self, epoch: int) -> LabelledRows:
        """Return the rows to train on in an epoch: with --views 0 they are of views drawn for this epoch alone."""
        if self._stored is not None:
            return self._stored
        self._last.close()  # one epoch's views at a time
        own = self._last.enter_context(self._trunk.open_store(cache=False))
        view = View(1 + epoch + 2**16 * self._plan.config.seed, self._plan.precision)  # 0 is the image as it is
        self._trunk.compute(dict.fromkeys(self._records, (view,)), own)
        return self._rows(own, (view,))

    def _rows(self, store: FeatureStore, views: Sequence[View]) -> LabelledRows:
        keys = [self._trunk.key(record.digest, view) for record in self._records for view in views]
        paths = tuple(record.path for record in self._records)
        return LabelledRows(store.rows(keys), _labels(self._records), len(views), paths, self._weights)


def _labels(records: Sequence[Record]) -> np.ndarray:
    return np.array([record.label for record in records], np.int32)
