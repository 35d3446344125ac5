"""Repeat a published result: features of all images once, then a linear classifier for each split."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, make_dataset
from finetune.errors import UsageError
from finetune.system.atomic import replacing
from finetune.system.progress import track
from finetune.system.quiet import import_tensorflow
from finetune.system.text import image_count
from finetune.training.make_plan import plan_layers
from finetune.training.plan import Plan, SourceWeights
from finetune.training.published_tables import ProbeSplit, PublishedTable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitResult:
    """What a classifier reaches on the test images of one split; accuracies are fractions."""

    strength: float
    test_images: int
    accuracy: float
    mean_class_accuracy: float


@dataclass(frozen=True)
class Reproduction:
    """A published result, and what these weights reach on the same images."""

    table: PublishedTable
    weights: SourceWeights
    network: str
    images: int
    classes: int
    splits: tuple[SplitResult, ...]

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """The accuracy of each split, in per cent, that the published one is to be compared with."""
        per_class = self.table.measure == "mean per class"
        return np.array([100 * (one.mean_class_accuracy if per_class else one.accuracy) for one in self.splits])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; ours and the published result in per cent."""
        table = self.table
        return {
            "table": table.name,
            "layer": table.layer,
            "measure": table.measure,
            "weights": self.weights._asdict(),
            "network": self.network,
            "images": self.images,
            "classes": self.classes,
            "ours": float(self.accuracies.mean()),
            "standard_deviation": float(self.accuracies.std(ddof=1)) if len(self.splits) > 1 else None,
            "published": table.published,
            "published_by": table.by,
            "splits": [vars(one) for one in self.splits],
        }


def reproduce(table: PublishedTable, data: Path, weights: str = "auto", network: str = "alexnet") -> Reproduction:
    """Measure linear classifiers on the features that `weights` give for the images in `data`.

    Features are computed once for all splits, and stay in the cache. Raises UsageError or DataError for images that are
    not in the layout of the table, WeightsError for weights that cannot be had.
    """
    files = table.files(data)
    dataset = make_dataset(files, tuple(sorted({file.class_name for file in files})), val_fraction=0.2)
    config = TrainConfig(data=data, probe=table.layer, weights=weights, network=network)
    plan = plan_layers(config, len(dataset.class_names))
    plan.network.cut(table.layer)  # raises UsageError for a network without that layer, before anything is computed
    rows, readable = _features(plan, table.layer, dataset)
    if readable.skipped:
        count, first = image_count(len(readable.skipped)), readable.skipped[0]
        logger.warning("skipped, since they cannot be read: %s, the first: %s: %s", count, first.path, first.reason)
    if len(dataset.class_names) != table.classes:
        logger.warning(
            "these images have %d classes, and those of the published result %d; compare with care",
            len(dataset.class_names),
            table.classes,
        )
    splits = list(table.splits(readable))
    results = tuple(measure(rows, readable, split) for split in track(splits, len(splits), "classifying", "splits"))
    images, classes = len(readable.records), len(readable.class_names)
    return Reproduction(table, plan.source, plan.network.name, images, classes, results)


def _features(plan: Plan, layer: str, dataset: Dataset) -> tuple[NDArray[np.float32], Dataset]:
    """Return the output of a layer for each image, (images, values), and the images, without the unreadable ones."""
    import_tensorflow()
    from finetune.training.features import View
    from finetune.training.probe_features import layer_features

    views = (View(0, plan.precision),)
    with layer_features(plan, [layer], dict.fromkeys(dataset.records, views)) as features:
        readable = dataset.without(features.unreadable)
        stored = features.rows(layer, readable.records, views)
        return stored[np.arange(len(stored))].reshape(len(stored), -1), readable


def measure(rows: NDArray[np.float32], dataset: Dataset, split: ProbeSplit) -> SplitResult:
    """Return what a logistic regression on the rows of a split's images reaches on its test images."""
    from finetune.training.probe_blocks import CHOICE_TOLERANCE
    from finetune.training.probe_fit import best_strength, cross_validate, fit
    from finetune.training.probe_folds import ALWAYS_TRAINED

    labels = np.array([record.label for record in dataset.records])
    digests = np.array([record.digest for record in dataset.records])
    both = np.concatenate([split.inner, split.held_out])
    folds = np.repeat([ALWAYS_TRAINED, 0], [len(split.inner), len(split.held_out)])
    strength = best_strength(cross_validate(rows[both], labels[both], folds, digests[both].tolist())).strength
    fitted = split.fitted
    kernel, bias = fit(rows[fitted], labels[fitted], digests[fitted].tolist(), strength, CHOICE_TOLERANCE)
    predicted = (rows[split.test] @ kernel + bias).argmax(axis=1)
    hits = predicted == labels[split.test]
    return SplitResult(strength, len(hits), float(hits.mean()), mean_class_accuracy(labels[split.test], hits))


def mean_class_accuracy(labels: NDArray[np.int64], hits: NDArray[np.bool_]) -> float:
    """Return the mean over the classes of the share of their images that are `hits`: every class counts the same."""
    return float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def write_reproduction(path: Path, result: Reproduction) -> None:
    """Write a result as JSON; raise UsageError if the file cannot be written."""
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(result.to_json(), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {path} cannot be written ({error.strerror}); choose another --out") from None
