"""A linear probe: one new layer on frozen features, fitted by logistic regression."""

import logging
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset, Record
from finetune.metrics import fit_temperature, log_loss, log_losses
from finetune.runs.run import Run
from finetune.training.describe import describe
from finetune.training.facts import facts
from finetune.training.features import View
from finetune.training.outcome import Outcome
from finetune.training.plan import Plan, ProbedLayer
from finetune.training.probe_features import layer_features, probe_views
from finetune.training.probe_fit import fit

logger = logging.getLogger(__name__)

NOISE = 2  # standard errors by which a temperature must lower the log loss of held-out images


def fit_probe(plan: Plan, dataset: Dataset, run: Run, resumed: bool) -> Outcome:
    """Fit the probe that the plan chose on all training images and their mirror images.

    Raises DataError when too few images can be read, RunError when one has changed since the split was made.
    """
    assert plan.probe
    chosen, views = plan.probe.chosen, probe_views(plan)
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
        judged: tuple[Record, ...] = plan.probe.records
        logits: NDArray[np.floating[Any]] = plan.probe.logits
        if val:
            pixels = features.rows(chosen.layer, val, (View(0, "float32"),))[np.arange(len(val))]
            judged, logits = tuple(val), pixels.reshape(len(val), -1) @ kernel + bias
    last = plan.network.weighted_layers()[-1]
    fresh = {f"{last}/kernel": kernel, f"{last}/bias": bias}
    kept = {name: plan.weights[name] for name in plan.network.weight_shapes() if name not in fresh}
    outcome = Outcome(remaining, {**kept, **fresh}, judged, logits, _temperature(plan), {})
    if not resumed:
        with run.starting() as new:
            _write_first_files(new, plan, dataset, remaining)
    return replace(outcome, metrics=_metrics(plan, outcome))


def _write_first_files(new: Run, plan: Plan, dataset: Dataset, remaining: Dataset) -> None:
    """Write the files of a new run; `remaining` are the images of the dataset that turned out readable.

    The facts are of all of them, since `resume` compares facts before it reads images that chose nothing.
    """
    assert plan.probe
    new.write_config({**plan.config.to_json(), **facts(plan, dataset)})
    new.write_data(remaining)
    new.write_plan(describe(plan, remaining))
    new.write_probe(ProbedLayer._fields, plan.probe.layers)


def _metrics(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Return the metrics of the images in `judged`, and which probe it is."""
    assert plan.probe
    labels = outcome.labels()
    return {
        "kept": "probe",
        "probe": plan.probe.chosen.layer,
        "strength": plan.probe.chosen.strength,
        "judged": "validation images" if outcome.judged != plan.probe.records else "training images, held out in turn",
        "val_accuracy": float((outcome.logits.argmax(axis=1) == labels).mean()),
        "val_loss": log_loss(outcome.logits, labels, outcome.temperature),
        "interrupted": False,
    }


def _temperature(plan: Plan) -> float:
    """Return the temperature of the held-out images, or 1 where it does not lower their log loss beyond noise."""
    assert plan.probe
    labels = np.array([record.label for record in plan.probe.records], np.int32)
    temperature = fit_temperature(plan.probe.logits, labels)
    gain = log_losses(plan.probe.logits, labels) - log_losses(plan.probe.logits, labels, temperature)
    return temperature if gain.mean() > NOISE * gain.std() / np.sqrt(len(gain)) else 1.0
