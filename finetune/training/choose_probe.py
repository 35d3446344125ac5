"""Which layer a linear probe reads, and how strong its penalty is: cross-validated on the training images."""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from threading import Thread

import numpy as np

from finetune.config import AUTO
from finetune.data.dataset import Dataset, Record
from finetune.data.groups import joined_groups
from finetune.errors import DataError
from finetune.system.progress import track
from finetune.system.quiet import import_scikit_learn, import_tensorflow
from finetune.training.plan import Plan, Probe, ProbedLayer
from finetune.training.probe_folds import ALWAYS_TRAINED, FoldNumbers, Groups, Labels, draw, make_folds

logger = logging.getLogger(__name__)


def choose_probe(plan: Plan, dataset: Dataset) -> tuple[Plan, Dataset]:
    """Return the plan of a probe with layer and strength chosen and the network cut, and the images that can be read.

    `plan` is that of the whole network. Layer and strength are those of the lowest log loss on held-out images. Raises
    UsageError for a layer that the network cannot be cut after, DataError when too few images can be read, and
    FinetuneError when the weights give features that are not finite.
    """
    asked = plan.config.probe or AUTO
    layers = plan.network.probe_layers() if asked == AUTO else [asked]
    cuts = {layer: plan.network.cut(layer) for layer in layers}
    import_tensorflow()  # only now, so that all errors before it come at once
    from finetune.training.probe_features import IN_USE, layer_features, probe_views
    from finetune.training.probe_fit import best_strength, choose_layer, cross_validate

    records, views = _drawn(dataset), probe_views(plan)
    wanted = {**dict.fromkeys(records, views), **dict.fromkeys(_validated(dataset, records), (IN_USE,))}
    loading = Thread(target=import_scikit_learn)  # takes almost a second, in which features are computed
    loading.start()
    with layer_features(plan, layers, wanted) as features:
        loading.join()
        dataset = dataset.without(features.unreadable)  # raises when too few are left
        records = [record for record in records if record.path not in features.unreadable]
        labels, digests = labels_of(records), [record.digest for record in records]
        folds = folds_of(dataset, records)
        tried, seconds = {}, {}
        for layer in track(layers, len(layers), "choosing", "layers"):
            started = time.perf_counter()
            tried[layer] = cross_validate(features.rows(layer, records, views), labels, folds, digests)
            seconds[layer] = time.perf_counter() - started
    chosen = choose_layer(tried)
    held_out = folds != ALWAYS_TRAINED
    best = {layer: best_strength(strengths) for layer, strengths in tried.items()}
    table = tuple(
        ProbedLayer(
            layer, one.strength, one.accuracy, one.standard_error, one.log_loss, seconds[layer], layer == chosen
        )
        for layer, one in best.items()
    )
    seen = tuple(record for record, held in zip(records, held_out, strict=True) if held)
    probe = Probe(table, len(records), seen, best[chosen].logits[held_out])
    config = replace(plan.config, probe=chosen if asked == AUTO else asked)
    return replace(plan, config=config, network=cuts[chosen], probe=probe), dataset


def _drawn(dataset: Dataset) -> list[Record]:
    """Return the training images to choose with, each content once, in order of their digests."""
    records = training_images(dataset)
    return [records[number] for number in draw(labels_of(records), [record.digest for record in records])]


def _validated(dataset: Dataset, drawn: Sequence[Record]) -> list[Record]:
    """Return the validation images, if the fit needs no other training images than those drawn.

    Then all features are computed in one pass, and the network is traced once. They choose nothing.
    """
    if len(drawn) < len(training_images(dataset)):
        return []
    return sorted((record for record in dataset.records if record.split == "val"), key=attrgetter("digest"))


def training_images(dataset: Dataset) -> list[Record]:
    """Return the images to train on, each content once, in order of their digests.

    Raises DataError for a class whose images are all identical to images of other classes.
    """
    in_order = sorted((record.digest, -record.label, record.path, record) for record in dataset.records)
    by_digest = {digest: record for digest, _, _, record in in_order if record.split == "train"}
    records = list(by_digest.values())
    labels = {record.label for record in records}
    for label, name in enumerate(dataset.class_names):
        if label not in labels:
            raise DataError(
                f"expected an image of class {name!r} that no other class has, but all are identical to images of "
                "others; remove those of the wrong class (finetune check lists them)"
            )
    return records


def labels_of(records: Sequence[Record]) -> Labels:
    """Return the classes of images, (images,)."""
    return np.array([record.label for record in records], np.int64)


def folds_of(dataset: Dataset, records: Sequence[Record]) -> FoldNumbers:
    """Return the fold of each image; copies, and images with the same group name, are together."""
    return make_folds(labels_of(records), _group_numbers(dataset, records), [record.digest for record in records])


def _group_numbers(dataset: Dataset, records: Sequence[Record]) -> Groups:
    """Return the number of each image's group."""
    named = [[record.digest for record in same] for same in dataset.by_group().values()]
    digests = {record.digest for record in dataset.records}
    group_of = joined_groups(digests, [*named, *dataset.copies])
    numbers = {group: number for number, group in enumerate(sorted(set(group_of.values())))}
    return np.array([numbers[group_of[record.digest]] for record in records], np.int64)
