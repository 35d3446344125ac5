"""The stages of a training, one after the other: features, head, epochs."""

import logging
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.metrics import proven_temperature
from finetune.networks.initialize import Arrays
from finetune.runs.run import Run
from finetune.training.checkpoint import load_progress
from finetune.training.estimate import Cost, estimate
from finetune.training.features import Trunk
from finetune.training.head import Head, head_logits
from finetune.training.journal import Journal
from finetune.training.loop import train_epochs
from finetune.training.open_head import open_head
from finetune.training.outcome import Outcome
from finetune.training.plan import Plan
from finetune.training.skipped import warn_of_skipped
from finetune.training.splits import Splits
from finetune.training.state import Progress, State
from finetune.training.trainable import Trainable

logger = logging.getLogger(__name__)


def train_stages(plan: Plan, dataset: Dataset, run: Run, resumed: bool) -> Outcome:
    """Train the stages of the plan from where the run is, and keep every state in the run.

    Raises DataError when too few images can be read, RunError when one has changed or there is nothing to train.
    """
    progress = load_progress(run) if resumed else Progress()
    journal = Journal(run, plan, dataset, started=resumed)
    with ExitStack() as open_files:
        for stage in plan.stages:
            epochs, is_last = plan.epochs(stage), stage is plan.stages[-1]
            if len(progress.latest.history) >= epochs.stop - 1 and not is_last:
                continue
            open_files.close()  # the features of the stage before, and its workers, which leave no room for others
            staged = plan.at(stage, progress.whole.values.weights)
            trunk = Trunk(staged)
            store = open_files.enter_context(trunk.open_store(plan.config.cache))
            with open_head(staged) as head:
                logger.info("cost      %s", estimate(staged, dataset, trunk, store, head).describe())
                splits = Splits(staged, trunk, store, dataset, open_files)
                warn_of_skipped(splits.dataset.skipped[len(dataset.skipped) :])
                interrupted = _run_epochs(head, plan, splits, epochs, progress, journal)
            if interrupted or is_last:
                break
        kept = plan.at(stage, progress.whole.kept_weights)
        return _outcome(progress.whole, splits, kept.weights, head_logits(kept, splits.val), interrupted)


def _outcome(state: State, splits: Splits, weights: Arrays, logits: NDArray[np.float32], interrupted: bool) -> Outcome:
    """Return the model of the kept epoch, which metrics call `best_epoch` whether it is the best or the last."""
    kept = state.kept
    metrics = {
        "kept": "last" if state.best_weights is None else "best",
        "best_epoch": kept.epoch,
        "val_accuracy": kept.val_accuracy,
        "val_loss": kept.val_loss,
        "train_accuracy": kept.train_accuracy,
        "train_loss": kept.train_loss,
        "epochs": len(state.history),
        "interrupted": interrupted,
        "halvings": state.halvings,
    }
    judged = tuple(record for record in splits.dataset.records if record.split == "val")
    temperature = proven_temperature(logits, np.array([record.label for record in judged], np.int32))
    return Outcome(splits.dataset, weights, judged, logits, temperature, metrics, interrupted)


def estimate_stages(plan: Plan, dataset: Dataset) -> list[tuple[str, Cost]]:
    """Return what each stage would cost, with the names of its layers; nothing is written but the cache of features."""
    costs = []
    for stage in plan.stages:
        staged = plan.at(stage, {})
        trunk = Trunk(staged)
        with trunk.open_store(plan.config.cache) as store:
            costs.append((", ".join(stage.layers), estimate(staged, dataset, trunk, store, Head(staged))))
    return costs


def _run_epochs(
    head: Trainable, plan: Plan, splits: Splits, epochs: range, progress: Progress, journal: Journal
) -> bool:
    """Train the epochs of a stage and keep every state; return whether Ctrl-C ended them after a whole epoch."""
    journal.begin()
    try:
        with closing(train_epochs(head, plan, splits, epochs, progress)) as states:
            for state in states:
                journal.keep(state, splits.dataset)
    except KeyboardInterrupt:
        if not progress.whole.history:
            raise
        journal.report_interruption(len(progress.whole.history))
        return True
    if not progress.whole.history:
        raise RunError("there is no epoch to train; start a new run")
    return False
