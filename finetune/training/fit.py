"""The work of a training: stage by stage the features, then the head epoch by epoch, then the run's files."""

import logging
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune import __version__
from finetune.config import TrainConfig
from finetune.data.augment import Augmentation
from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.evaluate import Labelled as Images
from finetune.evaluate import assess
from finetune.metrics import fit_temperature
from finetune.model import Model
from finetune.networks.precision import resolve_precision
from finetune.report import report, with_thumbnails
from finetune.report.contact_sheet import contact_sheet
from finetune.run import Run
from finetune.run_files import write_evaluation
from finetune.training.checkpoint import load_state, save_state
from finetune.training.cost import Cost, estimate
from finetune.training.events import Events
from finetune.training.features import Trunk
from finetune.training.frozen import changed
from finetune.training.head import Head, head_logits
from finetune.training.loop import Epoch, State, train_head
from finetune.training.plan import Plan
from finetune.training.sides import Sides, augmentation_for, read_sides

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What came of the epochs: the last state, the sides they saw, the logits of the best epoch on validation."""

    state: State
    sides: Sides
    logits: NDArray[np.float32]
    interrupted: bool


def fit(config: TrainConfig, plan: Plan, dataset: Dataset, run: Run, before: Mapping[str, str]) -> Run:
    """Train as planned and write the run, which has begun; go on from its checkpoint if it has one.

    `before`: the digests of the frozen tensors. Raises DataError when too few images turn out readable, RunError when
    one has changed or a frozen layer has moved.
    """
    augmentation = augmentation_for(config, plan.network.preprocessing, dataset)
    if config.views != 1 and augmentation.changes:
        run.write_augmented(contact_sheet(dataset.records, plan.network.preprocessing, augmentation))
    with ExitStack() as open_files:
        trained = _train_stages(config, plan, augmentation, dataset, run, open_files)
    _finish(run, plan, trained, before)
    return run


def estimate_stages(config: TrainConfig, plan: Plan, dataset: Dataset) -> list[tuple[str, Cost]]:
    """Return what each stage would cost, with its layers' names; only the cache of features is written to."""
    augmentation = augmentation_for(config, plan.network.preprocessing, dataset)
    costs = []
    for stage in plan.stages:
        staged = plan.at(stage, {})
        trunk = Trunk(staged, resolve_precision(config.precision), augmentation)
        with trunk.open_store(config.cache) as store:
            cost = estimate(config, staged, dataset, trunk, store, Head(staged, config))
        costs.append((", ".join(stage.layers), cost))
    return costs


def _train_stages(
    config: TrainConfig, plan: Plan, augmentation: Augmentation, dataset: Dataset, run: Run, open_files: ExitStack
) -> Trained:
    good, state = load_state(run.checkpoint), load_state(run.checkpoint_within)
    if state is None or len(state.history) != len(good.history if good else ()):  # from before the last epoch's end
        state = good
    for stage in plan.stages:
        epochs, is_last = plan.epochs(stage), stage is plan.stages[-1]
        if state and len(state.history) >= epochs.stop - 1 and not is_last:
            continue
        staged = plan.at(stage, good.values.weights if good else {})
        trunk = Trunk(staged, resolve_precision(config.precision), augmentation)
        store = open_files.enter_context(trunk.open_store(config.cache))
        head = Head(staged, config)
        logger.info("cost: %s", estimate(config, staged, dataset, trunk, store, head).describe())
        sides = read_sides(config, trunk, store, dataset, open_files)
        if sides.dataset.skipped != dataset.skipped:
            run.write_data(sides.dataset)
            _tell_skipped(sides.dataset)
        state, interrupted = _run_epochs(config, head, sides, epochs, state, good, run, plan.last_epoch)
        good = state
        if interrupted or is_last:
            return Trained(state, sides, head_logits(staged, state.best_weights or {}, sides.val), interrupted)
    raise AssertionError("a plan has a last stage")


def _run_epochs(
    config: TrainConfig,
    head: Head,
    sides: Sides,
    epochs: range,
    state: State | None,
    good: State | None,
    run: Run,
    last_epoch: int,
) -> tuple[State, bool]:
    """Train the epochs of a stage and save every one; return the last whole state and whether Ctrl-C came."""
    events = Events(run.tensorboard, state.history if state else ()) if config.tensorboard else None
    try:
        for latest in train_head(head, config, sides.train, sides.val, epochs, state, good):
            if latest.part.batches:
                save_state(run.checkpoint_within, latest)
                continue
            good = latest
            run.write_history(Epoch._fields, latest.history)
            save_state(run.checkpoint, latest)
            if events:
                events.write(latest.history)
            _tell_epoch(latest.history[-1], last_epoch)
    except KeyboardInterrupt:
        if good is None:
            raise
        done = len(good.history)
        logger.warning(
            "interrupted: %d of %d epochs were done; keeping the best (finetune train --resume %s goes on)",
            done,
            last_epoch,
            run.path,
        )
        return good, True
    if good is None:
        raise RunError(f"{run.path} has no epoch to train; start a new run")
    return good, False


def _finish(run: Run, plan: Plan, trained: Trained, before: Mapping[str, str]) -> None:
    """Write the model, the figures and the report; raise RunError when a frozen tensor is not what it was."""
    state, dataset = trained.state, trained.sides.dataset
    labels = trained.sides.val.labels
    temperature = fit_temperature(trained.logits, labels)
    source = {"name": plan.source.name, "sha256": plan.source.sha256}
    metrics = _metrics(state, dataset, trained.interrupted)
    about = {"source_weights": source, "version": __version__, "temperature": temperature, "metrics": metrics}
    weights = {**plan.weights, **(state.best_weights or {})}
    run.write_model(Model(plan.network, weights, dataset.class_names, about))
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(changed, before, run.model)  # on another core than the figures
        images: Images = [(record.path, record.label) for record in dataset.records if record.split == "val"]
        figures = with_thumbnails(assess(images, trained.logits, dataset.class_names, temperature).to_json())
    moved = found.result()
    run.write_metrics({**metrics, "frozen": {"tensors": len(before), "changed": moved}})
    if moved:
        raise RunError(f"frozen layers have changed in training: {', '.join(moved)}; this is a fault, please report it")
    write_evaluation(run, figures)
    report(run.path)


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
        "halvings": state.halvings,
        "images": {**Counter(record.split for record in dataset.records), "skipped": len(dataset.skipped)},
    }


def _tell_skipped(dataset: Dataset) -> None:
    for path, reason in dataset.skipped:
        logger.warning("skipped %s: %s", path, reason)
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
