"""The work of a training: features of every image once, then the head epoch by epoch, then the run's files."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from finetune import __version__
from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError
from finetune.evaluate import Labelled as Images
from finetune.evaluate import assess
from finetune.metrics import fit_temperature
from finetune.model import Model
from finetune.networks.precision import resolve_precision
from finetune.report import report, with_thumbnails
from finetune.report.origin import versions
from finetune.run import Run
from finetune.run_files import write_evaluation, write_plan
from finetune.training.checkpoint import load_state, save_state
from finetune.training.features import Trunk
from finetune.training.loop import Epoch, Labelled, State, head_logits, train_head
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore

logger = logging.getLogger(__name__)


def fit(config: TrainConfig, plan: Plan, dataset: Dataset, run: Run, began: dict[str, Any] | None) -> Run:
    """Train as planned and write the run; `began` is the config.json of a run to go on with.

    Raises DataError when too few images turn out readable, RunError when a run to go on with began with other data.
    """
    config = plan.settle(config)
    trunk = Trunk(plan, resolve_precision(config.precision))
    with ExitStack() as open_files:
        store = open_files.enter_context(trunk.open_store(config.cache))
        views = {"train": range(max(config.views, 1)), "val": range(1)}
        dataset = dataset.without(trunk.compute({record: views[record.split] for record in dataset.records}, store))
        _tell_data(dataset)
        source = {"name": plan.source.name, "sha256": plan.source.sha256}
        facts = {"source_weights": source, "version": __version__}
        settled = {**config.to_json(), **facts, "data_sha256": _digest(dataset), "versions": versions()}
        _check_unchanged(began, settled)
        state = load_state(run.checkpoint) if began else None
        if state is None:
            run.begin(settled, dataset)
            write_plan(run, plan.describe())
        train = _training_side(config, trunk, store, [r for r in dataset.records if r.split == "train"], open_files)
        val = _labelled(store, [record for record in dataset.records if record.split == "val"])
        state, interrupted = _run_epochs(plan, config, train, val, state, run)
        logits = head_logits(plan, state.best_weights, val)
    metrics = _metrics(state, dataset, interrupted)
    weights = {**plan.weights, **state.best_weights}
    temperature = fit_temperature(logits, val.labels)
    about = {**facts, "temperature": temperature, "metrics": metrics}
    run.finish(Model(plan.network, weights, dataset.class_names, about), metrics)
    images: Images = [(record.path, record.label) for record in dataset.records if record.split == "val"]
    write_evaluation(run, with_thumbnails(assess(images, logits, dataset.class_names, temperature).to_json()))
    report(run.path)
    return run


def _run_epochs(
    plan: Plan, config: TrainConfig, train: Callable[[int], Labelled], val: Labelled, state: State | None, run: Run
) -> tuple[State, bool]:
    """Train and save every epoch; return the last state and whether Ctrl-C came (raised before the first epoch)."""
    try:
        for latest in train_head(plan, config, train, val, state):
            state = latest
            run.write_history(Epoch._fields, state.history)
            save_state(run.checkpoint, state)
            _tell_epoch(state.history[-1], config.epochs)
    except KeyboardInterrupt:
        if state is None:
            raise
        logger.warning(
            "interrupted: %d of %d epochs were done; keeping the best (finetune train --resume %s goes on)",
            len(state.history),
            config.epochs,
            run.path,
        )
        return state, True
    if state is None:
        raise RunError(f"{run.path} has no epoch to train; start a new run")
    return state, False


def _training_side(
    config: TrainConfig, trunk: Trunk, store: FeatureStore, records: list[Record], open_files: ExitStack
) -> Callable[[int], Labelled]:
    """Return what gives the training side of an epoch: the stored views, or with `views` 0 fresh ones every time."""
    if config.views:
        stored = _labelled(store, records, config.views)
        return lambda epoch: stored

    last = open_files.enter_context(ExitStack())

    def fresh(epoch: int) -> Labelled:
        last.close()
        own = last.enter_context(trunk.open_store(cache=False))
        view = 1 + epoch + config.epochs * config.seed  # 0 is the picture as it is
        trunk.compute(dict.fromkeys(records, (view,)), own)
        return Labelled(own.rows([(record.digest, view) for record in records]), _labels(records))

    return fresh


def _labelled(store: FeatureStore, records: list[Record], views: int = 1) -> Labelled:
    rows = store.rows([(record.digest, view) for record in records for view in range(views)])
    return Labelled(rows, _labels(records), views)


def _labels(records: list[Record]) -> "np.ndarray[Any, np.dtype[np.int32]]":
    return np.array([record.label for record in records], np.int32)


def _digest(dataset: Dataset) -> str:
    """Return one SHA-256 of all that training takes from the data: which bytes, which label, which side, what order."""
    lines = (f"{record.digest} {record.label} {record.split}\n" for record in dataset.records)
    return hashlib.sha256("".join([*lines, *dataset.class_names]).encode("utf-8", "surrogateescape")).hexdigest()


def _check_unchanged(began: dict[str, Any] | None, settled: dict[str, Any]) -> None:
    for name, what in (("data_sha256", "the pictures"), ("source_weights", "the source weights")):
        if began is not None and began.get(name) != settled[name]:
            raise RunError(f"{what} have changed since the run began, so it cannot be resumed; start a new run")


def _metrics(state: State, dataset: Dataset, interrupted: bool) -> dict[str, Any]:
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


def _tell_epoch(epoch: Epoch, epochs: int) -> None:
    logger.info(
        "epoch %d of %d: loss %.4f, accuracy %.1f %%; validation loss %.4f, accuracy %.1f %%",
        epoch.epoch,
        epochs,
        epoch.train_loss,
        100 * epoch.train_accuracy,
        epoch.val_loss,
        100 * epoch.val_accuracy,
    )
