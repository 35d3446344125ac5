"""The work of a training: stage by stage the features, then the head epoch by epoch, then the run's files."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune import __version__
from finetune.choices import Precision
from finetune.config import TrainConfig
from finetune.data.augment import Augmentation
from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.evaluation.evaluate import Labelled as Images
from finetune.evaluation.evaluate import assess
from finetune.evaluation.report import report, with_thumbnails
from finetune.metrics import fit_temperature
from finetune.model import Model
from finetune.networks.precision import resolve_precision
from finetune.runs.read_run import write_evaluation
from finetune.runs.run import Run
from finetune.training.checkpoint import load_state
from finetune.training.contact_sheet import contact_sheet
from finetune.training.describe import describe, describe_precision
from finetune.training.estimate import Cost, estimate
from finetune.training.features import Trunk
from finetune.training.frozen import changed
from finetune.training.head import Head, head_logits
from finetune.training.journal import Begin, Journal
from finetune.training.loop import State, train_head
from finetune.training.plan import Arrays, Plan
from finetune.training.splits import Sides, augmentation_for, read_sides

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reached:
    """How far a training is: the last state, which may lie within an epoch, and the last at the end of one."""

    state: State | None
    good: State | None


@dataclass(frozen=True)
class Trained:
    """What came of the epochs: the last state, the sides they saw, and the model of the best epoch.

    `weights`: of all its layers. `logits`: what it says of the validation side, (images, classes).
    """

    state: State
    sides: Sides
    weights: Arrays
    logits: NDArray[np.float32]
    interrupted: bool


def fit(
    config: TrainConfig,
    plan: Plan,
    dataset: Dataset,
    run: Run,
    before: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> Run:
    """Train as planned and write the run; go on from its checkpoint if it has one.

    `before`: the digests of the frozen tensors. `options`: what config.json will hold, of a run that has yet to begin.
    Raises DataError when too few images turn out readable, RunError when one has changed or a frozen layer has moved.
    """
    precision = resolve_precision(config.precision)
    logger.info("%s", describe_precision(precision))
    augmentation = augmentation_for(config, plan.network.preprocessing, dataset)
    begin: Begin | None = None
    if options is None:
        reached = _reached(run)
    else:
        reached = Reached(None, None)  # the files there are an older run's

        def begin(readable: Dataset, also: Callable[[Run], None]) -> None:
            def first_files(new: Run) -> None:
                if config.views != 1 and augmentation.changes:
                    new.write_augmented(contact_sheet(readable.records, plan.network.preprocessing, augmentation))
                also(new)

            run.begin(options, readable, describe(plan, config, dataset, precision), first_files)

    journal = Journal(run, begin, plan.last_epoch, config.tensorboard)
    with ExitStack() as open_files:
        trained = _train_stages(config, plan, augmentation, dataset, journal, reached, open_files)
    _finish(run, plan, trained, before, precision)
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


def _reached(run: Run) -> Reached:
    """Return what the run's checkpoints hold."""
    good, state = load_state(run.checkpoint), load_state(run.checkpoint_within)
    if state is None or len(state.history) != len(good.history if good else ()):  # from before the last epoch's end
        state = good
    return Reached(state, good)


def _train_stages(
    config: TrainConfig,
    plan: Plan,
    augmentation: Augmentation,
    dataset: Dataset,
    journal: Journal,
    reached: Reached,
    open_files: ExitStack,
) -> Trained:
    for stage in plan.stages:
        epochs, is_last = plan.epochs(stage), stage is plan.stages[-1]
        if reached.state and len(reached.state.history) >= epochs.stop - 1 and not is_last:
            continue
        staged = plan.at(stage, reached.good.values.weights if reached.good else {})
        trunk = Trunk(staged, resolve_precision(config.precision), augmentation)
        store = open_files.enter_context(trunk.open_store(config.cache))
        head = Head(staged, config)
        logger.info("cost: %s", estimate(config, staged, dataset, trunk, store, head).describe())
        sides = read_sides(config, trunk, store, dataset, open_files)
        if sides.dataset.skipped != dataset.skipped:
            _tell_skipped(sides.dataset)
        good, interrupted = _run_epochs(config, head, sides, epochs, reached, journal)
        reached = Reached(good, good)
        if interrupted or is_last:
            # Not `staged`, which begins with weights of the last epoch before it: the best may lie in an earlier stage.
            best = plan.at(stage, good.best_weights or {})
            return Trained(good, sides, best.weights, head_logits(best, sides.val), interrupted)
    raise AssertionError("a plan has a last stage")


def _run_epochs(
    config: TrainConfig, head: Head, sides: Sides, epochs: range, reached: Reached, journal: Journal
) -> tuple[State, bool]:
    """Train the epochs of a stage and keep every one; return the last whole state and whether Ctrl-C came."""
    good = reached.good
    try:
        for latest in train_head(head, config, sides.train, sides.val, epochs, reached.state, reached.good):
            journal.keep(latest, sides.dataset)
            if not latest.part.batches:
                good = latest
    except KeyboardInterrupt:
        if good is None:
            raise
        journal.tell_interrupted(len(good.history))
        return good, True
    if good is None:
        raise RunError("there is no epoch to train; start a new run")
    return good, False


def _finish(run: Run, plan: Plan, trained: Trained, before: Mapping[str, str], precision: Precision) -> None:
    """Write the model, the figures and the report; raise RunError when a frozen tensor is not what it was."""
    state, dataset = trained.state, trained.sides.dataset
    labels = trained.sides.val.labels
    temperature = fit_temperature(trained.logits, labels)
    source = {"name": plan.source.name, "sha256": plan.source.sha256}
    metrics = {**_metrics(state, dataset, trained.interrupted), "precision": precision}
    about = {"source_weights": source, "version": __version__, "temperature": temperature, "metrics": metrics}
    run.write_model(Model(plan.network, trained.weights, dataset.class_names, about))
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
