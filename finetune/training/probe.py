"""A linear probe: one new layer on frozen features, fitted by logistic regression."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset, Record
from finetune.metrics import log_loss, proven_temperature
from finetune.runs.run import Run
from finetune.training.describe import describe
from finetune.training.facts import facts
from finetune.training.features import View
from finetune.training.outcome import Outcome
from finetune.training.plan import Plan, Probe, ProbedLayer
from finetune.training.probe_features import layer_features, probe_views
from finetune.training.probe_fit import fit

logger = logging.getLogger(__name__)


def fit_probe(plan: Plan, probe: Probe, dataset: Dataset, run: Run, resumed: bool) -> Outcome:
    """Fit the `probe` that was chosen for the plan on all training images and their mirror images.

    Raises DataError when too few images can be read, RunError when one has changed since the split was made.
    """
    chosen, views = probe.chosen, probe_views(plan)
    by_digest = sorted(dataset.records, key=lambda record: record.digest)
    wanted = {record: views if record.split == "train" else (View(0, "float32"),) for record in by_digest}
    with layer_features(plan, [chosen.layer], wanted) as features:
        for path, reason in features.unreadable.items():
            logger.warning("skipped %s: %s", path, reason)
        remaining = dataset.without(features.unreadable)
        readable = [record for record in by_digest if record.path not in features.unreadable]
        train = [*{record.digest: record for record in readable if record.split == "train"}.values()]
        val = [record for record in readable if record.split == "val"]
        labels = np.array([record.label for record in train], np.int64)
        rows = features.rows(chosen.layer, train, views)
        kernel, bias = fit(rows, labels, [record.digest for record in train], chosen.strength)
        judged: tuple[Record, ...] = probe.records
        logits: NDArray[np.floating[Any]] = probe.logits
        if val:
            pixels = features.rows(chosen.layer, val, (View(0, "float32"),))[np.arange(len(val))]
            judged, logits = tuple(val), pixels.reshape(len(val), -1) @ kernel + bias
    last = plan.network.weighted_layers()[-1]
    fresh = {f"{last}/kernel": kernel, f"{last}/bias": bias}
    kept = {name: plan.weights[name] for name in plan.network.weight_shapes() if name not in fresh}
    temperature = proven_temperature(probe.logits, np.array([record.label for record in probe.records], np.int32))
    outcome = Outcome(remaining, {**kept, **fresh}, judged, logits, temperature, {})
    if not resumed:
        with run.starting() as new:
            # Facts of all images: `resume` compares them before it reads images that chose nothing.
            new.write_config({**plan.config.to_json(), **facts(plan, dataset)})
            new.write_data(remaining)
            new.write_plan(describe(plan, remaining))
            new.write_probe(ProbedLayer._fields, probe.layers)
    return replace(outcome, metrics=_metrics(chosen, outcome, out_of_fold=not val))


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
