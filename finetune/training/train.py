"""`train(config)`: read the data, settle the plan, compute features, train the head, leave a run directory."""

import logging
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune import __version__
from finetune.config import TrainConfig
from finetune.data.folder import Dataset, read_folder
from finetune.model import Model
from finetune.quiet import import_tensorflow
from finetune.run import Run
from finetune.training.plan import Plan, make_plan

if TYPE_CHECKING:
    from finetune.training.loop import Outcome

logger = logging.getLogger(__name__)


def train(config: TrainConfig) -> Run:
    """Fine-tune a network as `config` says and return the run directory with everything it left.

    Everything that can be wrong with the options, the data and the weights raises a FinetuneError before the first
    file is written. Ctrl-C after the first epoch keeps the best model so far.
    """
    run = Run.prepare(config.out, config.overwrite)
    dataset = read_folder(config.data, config.val_fraction)
    plan = make_plan(config, len(dataset.class_names))
    # TensorFlow from here on, so that all errors above come at once.
    import_tensorflow()
    from finetune.training.features import compute_features
    from finetune.training.loop import Epoch, Labelled, train_head

    logger.info("plan: %s", plan.describe())
    trunk, _ = plan.network.split(plan.trained)
    features = compute_features(trunk, plan.weights, plan.network.preprocessing, dataset.records)
    dataset = dataset.without(features.unreadable)
    _tell_data(dataset)

    def side(name: str) -> Labelled:
        rows = [row for row, record in enumerate(dataset.records) if record.split == name]
        labels = np.array([dataset.records[row].label for row in rows], np.int32)
        return Labelled(features.rows[rows], labels)

    def on_epoch(history: list[Epoch]) -> None:
        run.write_history(Epoch._fields, history)
        last = history[-1]
        logger.info(
            "epoch %d of %d: loss %.4f, accuracy %.1f %%; validation loss %.4f, accuracy %.1f %%",
            last.epoch, config.epochs, last.train_loss, 100 * last.train_accuracy, last.val_loss, 100 * last.val_accuracy,
        )  # fmt: skip

    source = {"name": plan.source.name, "sha256": plan.source.sha256}
    run.begin({**_options(config, plan), "source_weights": source, "version": __version__}, dataset)
    outcome = train_head(plan, config, side("train"), side("val"), on_epoch)
    if outcome.interrupted:
        logger.warning("interrupted: %d of %d epochs were done; keeping the best", len(outcome.history), config.epochs)
    metrics = _metrics(outcome, dataset)
    about = {"weights": source, "metrics": metrics, "version": __version__}
    run.finish(Model(plan.network, {**plan.weights, **outcome.weights}, dataset.class_names, about), metrics)
    return run


def _options(config: TrainConfig, plan: Plan) -> dict[str, Any]:
    """Return the options as they were settled, so that the run can be repeated from them."""
    return replace(config, weights=plan.source.name, skip=plan.skip, train=plan.trainable).to_json()


def _metrics(outcome: "Outcome", dataset: Dataset) -> dict[str, Any]:
    best = outcome.best
    return {
        "best_epoch": best.epoch,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "train_accuracy": best.train_accuracy,
        "train_loss": best.train_loss,
        "epochs": len(outcome.history),
        "interrupted": outcome.interrupted,
        "images": {**Counter(record.split for record in dataset.records), "skipped": len(dataset.skipped)},
    }


def _tell_data(dataset: Dataset) -> None:
    sides = Counter(record.split for record in dataset.records)
    logger.info("data: %d classes, %d images to train on, %d to validate", len(dataset.class_names), sides["train"], sides["val"])
    for path, reason in dataset.skipped:
        logger.warning("skipped %s: %s", path, reason)
    if dataset.skipped:
        logger.warning("%d images could not be read and were left out", len(dataset.skipped))
