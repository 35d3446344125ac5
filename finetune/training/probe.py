"""A linear probe: one new layer on frozen features, fitted by logistic regression."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset, Record
from finetune.metrics import log_loss, proven_temperature
from finetune.runs.run import Run
from finetune.system.progress import track
from finetune.training.choose_probe import folds_of, labels_of, training_images
from finetune.training.describe import describe
from finetune.training.facts import facts
from finetune.training.features import View
from finetune.training.outcome import Outcome
from finetune.training.plan import Plan, Probe, ProbedLayer
from finetune.training.probe_blocks import BLOCK_ROWS, CHOICE_TOLERANCE, TOLERANCE
from finetune.training.probe_features import IN_USE, LayerFeatures, layer_features, probe_views
from finetune.training.probe_fit import ProbeArray, fit, one_thread
from finetune.training.probe_folds import ALWAYS_TRAINED
from finetune.training.skipped import warn_of_skipped


def fit_probe(plan: Plan, probe: Probe, dataset: Dataset, run: Run, resumed: bool) -> Outcome:
    """Fit the `probe` that was chosen for the plan on all training images and their mirror images.

    Raises DataError when too few images can be read, RunError when one has changed since the split was made.
    """
    views = probe_views(plan)
    wanted = {record: views if record.split == "train" else (IN_USE,) for record in dataset.records}
    by_digest = dict(sorted(wanted.items(), key=lambda item: item[0].digest))
    with layer_features(plan, [probe.chosen.layer], by_digest) as features:
        remaining = dataset.without(features.unreadable)
        warn_of_skipped(remaining.skipped[len(dataset.skipped) :])
        train = training_images(remaining)
        fitted = _fitted(features, probe.chosen, train, views)
        val = sorted((record for record in remaining.records if record.split == "val"), key=attrgetter("digest"))
        if val:
            judged, logits = tuple(val), _logits(features, probe.chosen, val, IN_USE, *fitted)
        else:
            probe = probe if len(train) == probe.drawn else _of_all(probe, remaining, features, views)
            judged, logits = probe.records, probe.logits
    last = plan.network.weighted_layers()[-1]
    fresh = dict(zip((f"{last}/kernel", f"{last}/bias"), fitted, strict=True))
    kept = {name: plan.weights[name] for name in plan.network.weight_shapes() if name not in fresh}
    temperature = proven_temperature(probe.logits, labels_of(probe.records))
    outcome = Outcome(remaining, {**kept, **fresh}, judged, logits, temperature, {})
    if not resumed:
        with run.starting() as new:
            # Facts of all images: `resume` compares them before it reads images that chose nothing.
            new.write_config({**plan.config.to_json(), **facts(plan, dataset)})
            new.write_data(remaining)
            new.write_plan(describe(plan, remaining))
            new.write_probe(ProbedLayer._fields, probe.layers)
    return replace(outcome, metrics=_metrics(probe.chosen, outcome, out_of_fold=not val))


def _of_all(probe: Probe, dataset: Dataset, features: LayerFeatures, views: Sequence[View]) -> Probe:
    """Return the probe with all training images held out in turn, not only those that it was chosen on."""
    train = training_images(dataset)
    folds = folds_of(dataset, train)
    numbers = [number for number in np.unique(folds) if number != ALWAYS_TRAINED]
    found: dict[Record, NDArray[np.floating[Any]]] = {}
    for number in track(numbers, len(numbers), "cross-validating", "folds"):
        inside = [record for record, fold in zip(train, folds, strict=True) if fold != number]
        outside = [record for record, fold in zip(train, folds, strict=True) if fold == number]
        fitted = _fitted(features, probe.chosen, inside, views, CHOICE_TOLERANCE)
        found.update(zip(outside, _logits(features, probe.chosen, outside, views[0], *fitted), strict=True))
    records = tuple(record for record in train if record in found)
    return replace(probe, records=records, logits=np.array([found[record] for record in records]))


def _fitted(
    features: LayerFeatures,
    chosen: ProbedLayer,
    records: Sequence[Record],
    views: Sequence[View],
    tolerance: float = TOLERANCE,
) -> tuple[ProbeArray, ProbeArray]:
    """Return kernel and bias, fitted on all views of the records."""
    rows = features.rows(chosen.layer, records, views)
    return fit(rows, labels_of(records), [record.digest for record in records], chosen.strength, tolerance)


def _logits(
    features: LayerFeatures,
    chosen: ProbedLayer,
    records: Sequence[Record],
    view: View,
    kernel: ProbeArray,
    bias: ProbeArray,
) -> NDArray[np.floating[Any]]:
    """Return the output for one view of each record, (records, classes)."""
    rows = features.rows(chosen.layer, records, (view,))
    blocks = np.array_split(np.arange(len(records)), ceil(len(records) / BLOCK_ROWS))
    with one_thread():
        return np.concatenate([rows[block].reshape(len(block), -1) @ kernel + bias for block in blocks])


def _metrics(chosen: ProbedLayer, outcome: Outcome, out_of_fold: bool) -> dict[str, Any]:
    """Return the metrics of the images in `judged`, and which probe it is."""
    labels = outcome.labels()
    return {
        "kept": "probe",
        "probe": chosen.layer,
        "strength": chosen.strength,
        "judged": "training images, held out in turn" if out_of_fold else "validation images",
        "val_accuracy": float((outcome.logits.argmax(axis=1) == labels).mean()),
        "val_loss": log_loss(outcome.logits, labels, outcome.temperature),
        "interrupted": False,
    }
