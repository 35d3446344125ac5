"""What the loop trains on and is judged by: the trunk's features of both sides of the split."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.config import TrainConfig
from finetune.data.augment import Augmentation, augmentation_of
from finetune.data.dataset import Dataset, Record
from finetune.data.lighting import principal_components
from finetune.data.preprocessing import Preprocessing
from finetune.training.features import EXACT, Trunk
from finetune.training.head import Labelled
from finetune.training.optimization import class_weights
from finetune.training.store import FeatureStore


def augmentation_for(config: TrainConfig, preprocessing: Preprocessing, dataset: Dataset) -> Augmentation:
    """Return the augmentation that the options name; the lighting's components come from the training images."""
    augmentation = augmentation_of(
        config.augmentation or "light", config.crop, config.flip, config.lighting, config.color_jitter
    )
    if augmentation.lighting and config.views != 1:
        paths = [record.path for record in dataset.records if record.split == "train"]
        return replace(augmentation, components=principal_components(paths, preprocessing))
    return replace(augmentation, lighting=0.0)


@dataclass(frozen=True)
class Sides:
    """`dataset`: the images that could be read. `train` gives the training side for the number of an epoch."""

    dataset: Dataset
    train: Callable[[int], Labelled]
    val: Labelled


def read_sides(
    config: TrainConfig, trunk: Trunk, store: FeatureStore, dataset: Dataset, open_files: ExitStack
) -> Sides:
    """Compute the features that `store` lacks and return both sides, to be read until `open_files` closes.

    Those of the validation side are exact, so that what is said of the model holds for it in use.
    Raises DataError when too few images turn out readable, RunError when one has changed since it was looked at.
    """
    views = {"train": range(max(config.views or 0, 1)), "val": (EXACT,)}
    dataset = dataset.without(trunk.compute({record: views[record.split] for record in dataset.records}, store))
    train = [record for record in dataset.records if record.split == "train"]
    val = [record for record in dataset.records if record.split == "val"]
    classes = len(dataset.class_names)
    labels = np.array([record.label for record in train], np.int32)
    weights = class_weights(labels, classes) if config.class_weights == "balanced" else None

    def stored(epoch: int) -> Labelled:
        return views_in_store

    def fresh(epoch: int) -> Labelled:
        last.close()  # one epoch's views at a time
        own = last.enter_context(trunk.open_store(cache=False))
        view = 1 + epoch + 2**16 * config.seed  # 0 is the picture as it is
        trunk.compute(dict.fromkeys(train, (view,)), own)
        return _labelled(trunk, own, train, range(view, view + 1), weights)

    last = open_files.enter_context(ExitStack())
    views_in_store = _labelled(trunk, store, train, range(config.views or 0), weights)
    return Sides(dataset, stored if config.views else fresh, _labelled(trunk, store, val, (EXACT,)))


def _labelled(
    trunk: Trunk,
    store: FeatureStore,
    records: list[Record],
    views: Sequence[int],
    weights: NDArray[np.float32] | None = None,
) -> Labelled:
    rows = store.rows([trunk.key(record.digest, view) for record in records for view in views])
    labels = np.array([record.label for record in records], np.int32)
    paths: tuple[Path, ...] = tuple(record.path for record in records)
    return Labelled(rows, labels, len(views), paths, weights)
