"""`train(config)`: read the data, settle the plan, compute features, train the head, leave a run directory."""

import hashlib
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from finetune import __version__
from finetune.config import TrainConfig
from finetune.data.folder import Dataset, read_folder
from finetune.errors import RunError
from finetune.model import Model
from finetune.quiet import import_tensorflow
from finetune.report import render_report
from finetune.run import Run
from finetune.training.plan import Plan, make_plan

if TYPE_CHECKING:
    from finetune.training.features import Features
    from finetune.training.loop import Labelled, State

logger = logging.getLogger(__name__)


def train(config: TrainConfig) -> Run:
    """Fine-tune a network as `config` says and return the run directory with everything it left.

    Everything that can be wrong with the options, the data and the weights raises a FinetuneError before the first
    file is written. Ctrl-C after the first epoch keeps the best model so far.
    """
    return _train(config, Run.prepare(config.out, config.overwrite), began=None)


def resume(path: Path) -> Run:
    """Go on with the run at `path` from its last epoch, to the same bits as if it had never stopped.

    Raises RunError when it is no run, or when its pictures or its source weights have changed since it began.
    """
    run = Run(path)
    began = run.config()
    options = {name: value for name, value in began.items() if name not in _DIGESTS}
    return _train(TrainConfig.from_json({**options, "out": path}), run, began)


_DIGESTS = ("source_weights", "data_sha256", "version")  # what config.json holds beside the options


def _train(config: TrainConfig, run: Run, began: dict[str, Any] | None) -> Run:
    dataset = read_folder(config.data, config.val_fraction)
    plan = make_plan(config, len(dataset.class_names))
    # TensorFlow from here on, so that all errors above come at once.
    import_tensorflow()
    from finetune.training.checkpoint import load_state, save_state
    from finetune.training.features import compute_features
    from finetune.training.loop import Epoch, train_head

    logger.info("plan: %s", plan.describe())
    trunk, _ = plan.network.split(plan.trained)
    features = compute_features(trunk, plan.weights, plan.network.preprocessing, dataset.records)
    dataset = dataset.without(features.unreadable)
    _tell_data(dataset)

    about = {"source_weights": {"name": plan.source.name, "sha256": plan.source.sha256}, "version": __version__}
    settled = {**_options(config, plan), **about, "data_sha256": _digest(dataset)}
    _check_unchanged(began, settled)
    state = load_state(run.checkpoint) if began else None
    if state is None:
        run.begin(settled, dataset)
    interrupted = False
    states = train_head(plan, config, _side(dataset, features, "train"), _side(dataset, features, "val"), state)
    try:
        for state in states:
            run.write_history(Epoch._fields, state.history)
            save_state(run.checkpoint, state)
            _tell_epoch(state.history[-1], config.epochs)
    except KeyboardInterrupt:
        interrupted = True
    if state is None:
        raise KeyboardInterrupt
    if interrupted:
        logger.warning(
            "interrupted: %d of %d epochs were done; keeping the best (finetune train --resume %s goes on)",
            len(state.history),
            config.epochs,
            run.path,
        )
    metrics = _metrics(state, dataset, interrupted)
    model = Model(
        plan.network, {**plan.weights, **state.best_weights}, dataset.class_names, {**about, "metrics": metrics}
    )
    run.finish(model, metrics)
    run.write_report(render_report(settled, plan.describe(), metrics, state.history, dataset))
    return run


def _side(dataset: Dataset, features: "Features", side: str) -> "Labelled":
    """Return the rows and labels of one side of the split."""
    from finetune.training.loop import Labelled

    rows = [row for row, record in enumerate(dataset.records) if record.split == side]
    return Labelled(features.rows[rows], np.array([dataset.records[row].label for row in rows], np.int32))


def _options(config: TrainConfig, plan: Plan) -> dict[str, Any]:
    """Return the options as they were settled, so that the run can be repeated from them."""
    weights = config.weights if Path(config.weights).is_file() else plan.source.name
    return replace(config, weights=weights, skip=plan.skip, train=plan.trainable).to_json()


def _digest(dataset: Dataset) -> str:
    """Return one SHA-256 of all that training takes from the data: which bytes, which label, which side, what order."""
    lines = (f"{record.digest} {record.label} {record.split}\n" for record in dataset.records)
    return hashlib.sha256("".join([*lines, *dataset.class_names]).encode("utf-8", "surrogateescape")).hexdigest()


def _check_unchanged(began: dict[str, Any] | None, settled: dict[str, Any]) -> None:
    for name, what in (("data_sha256", "the pictures"), ("source_weights", "the source weights")):
        if began is not None and began.get(name) != settled[name]:
            raise RunError(f"{what} have changed since the run began, so it cannot be resumed; start a new run")


def _metrics(state: "State", dataset: Dataset, interrupted: bool) -> dict[str, Any]:
    best = state.best
    return {
        "best_epoch": best.epoch,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "train_accuracy": best.train_accuracy,
        "train_loss": best.train_loss,
        "epochs": len(state.history),
        "interrupted": interrupted,
        "images": {**Counter(record.split for record in dataset.records), "skipped": len(dataset.skipped)},
    }


def _tell_data(dataset: Dataset) -> None:
    sides = Counter(record.split for record in dataset.records)
    logger.info(
        "data: %d classes, %d images to train on, %d to validate",
        len(dataset.class_names),
        sides["train"],
        sides["val"],
    )
    for path, reason in dataset.skipped:
        logger.warning("skipped %s: %s", path, reason)
    if dataset.skipped:
        logger.warning("%d images could not be read and were left out", len(dataset.skipped))


def _tell_epoch(epoch: Any, epochs: int) -> None:
    logger.info(
        "epoch %d of %d: loss %.4f, accuracy %.1f %%; validation loss %.4f, accuracy %.1f %%",
        epoch.epoch,
        epochs,
        epoch.train_loss,
        100 * epoch.train_accuracy,
        epoch.val_loss,
        100 * epoch.val_accuracy,
    )
