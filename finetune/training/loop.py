"""The training loop: epoch by epoch, from any state, back to the last whole one when the loss is not finite."""

import logging
import math
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import Protocol

import numpy as np

from finetune.errors import FinetuneError
from finetune.system.progress import Show, counting
from finetune.system.text import first_few
from finetune.training.defaults import Settled
from finetune.training.optimization import scheduled_rate
from finetune.training.plan import Plan
from finetune.training.state import Epoch, Part, Progress, State
from finetune.training.trainable import LabelledRows, Trainable, slices

logger = logging.getLogger(__name__)

MOST_HALVINGS = 3  # of the learning rate, before training gives up on a loss that is not finite
NAMED = 3  # images of a batch that a message names


class SplitRows(Protocol):
    """What the loop trains on and validates with."""

    val: LabelledRows
    images: int  # to train on

    def train(self, epoch: int) -> LabelledRows:
        """Return the rows to train on in an epoch."""


class NotFinite(Exception):  # noqa: N818 (never leaves the loop, which handles it)
    """The loss is not finite; the text says where."""


def train_epochs(head: Trainable, plan: Plan, splits: SplitRows, epochs: range, progress: Progress) -> Generator[State]:
    """Train from where `progress` is; yield the state after every epoch and every `checkpoint_minutes` within one.

    `epochs` are the numbers of the stage's epochs, over which the learning rate falls. `progress` moves on to a state
    when the caller, who stores it, asks for the next. Every batch and every dropout mask follows from the seed and the
    number of the epoch, so a training that continues from a state ends with the same bits as an unbroken one. When the
    loss is not finite the epoch starts again with half the learning rate; raises FinetuneError after MOST_HALVINGS.
    """
    config = plan.config
    progress.enter_stage(epochs, head.values())
    head.restore(progress.latest.values)
    before = _images_done(config, splits, progress.latest, epochs)
    last = min(_images_in_epoch(plan, epochs.stop - 1, splits.images), splits.images)
    total = (len(epochs) - 1) * splits.images + last
    with counting(total, "training", "images", before) as show:
        while len(progress.latest.history) + 1 in epochs and not _patience_lost(progress.latest, config):
            try:
                for state in _train_epoch(head, plan, splits, progress.latest, epochs, show):
                    yield state
                    progress.advance(state)
            except NotFinite as problem:
                progress.go_back()
                head.restore(progress.latest.values)
                _check_halvings(problem, config, progress.latest)


def _check_halvings(problem: NotFinite, config: Settled, state: State) -> None:
    """Warn that training goes back to a state; raise FinetuneError when its rate was halved too often."""
    rate = _start_rate(config, state)
    if state.halvings > MOST_HALVINGS:
        what = "base_lr" if config.solver else "--learning-rate"
        raise FinetuneError(
            f"{problem}, even with the learning rate halved {MOST_HALVINGS} times to {2 * rate:g}; "
            f"lower {what} (it started at {config.learning_rate:g}), or look at these images"
        ) from None
    logger.warning("%s; returning to the last state, with the learning rate halved to %g", problem, rate)


def _images_done(config: Settled, splits: SplitRows, state: State, epochs: range) -> int:
    """Return how many images a stage has been trained on: in whole epochs, and in batches of the next one."""
    in_epoch = min(state.part.batches * config.batch_size, splits.images)
    return (len(state.history) + 1 - epochs.start) * splits.images + in_epoch


def _train_epoch(
    head: Trainable, plan: Plan, splits: SplitRows, state: State, epochs: range, show: Show
) -> Iterator[State]:
    """Train the epoch that follows the state's history; yield states within it and the one after it."""
    config, number = plan.config, len(state.history) + 1
    data = splits.train(number)
    count = _images_in_epoch(plan, number, len(data.labels))
    rates = _rates(plan, state, epochs, ceil(count / config.batch_size))
    saved = time.monotonic()
    part = state.part
    for part in _steps(head, config, data, number, state.part, count, rates):
        show(_images_done(config, splits, replace(state, part=part), epochs))
        if time.monotonic() - saved > 60 * config.checkpoint_minutes:
            yield replace(state, values=head.values(), part=part)
            saved = time.monotonic()
    epoch = Epoch(number, rates[0], part.loss / count, part.correct / count, *head.evaluate(splits.val))
    if not math.isfinite(epoch.val_loss):
        raise NotFinite(f"the validation loss became {epoch.val_loss} after epoch {number}")
    yield state.after(epoch, head.values(), keep_best=bool(config.patience))


def _images_in_epoch(plan: Plan, number: int, images: int) -> int:
    """Return how many images an epoch is trained on: each once; with a solver, as many as fill its iterations."""
    return len(plan.solver.iterations(number)) * plan.config.batch_size if plan.solver else images


def _rates(plan: Plan, state: State, epochs: range, batches: int) -> list[float]:
    """Return the learning rate of each batch of the epoch that follows the state's history."""
    config, number = plan.config, len(state.history) + 1
    if plan.solver:
        return [plan.solver.policy.rate(step) / 2**state.halvings for step in plan.solver.iterations(number)]
    start = _start_rate(config, state)
    return [scheduled_rate(start, number - epochs.start, len(epochs), config.schedule, config.warmup)] * batches


def _steps(
    head: Trainable, config: Settled, data: LabelledRows, number: int, done: Part, count: int, rates: Sequence[float]
) -> Iterator[Part]:
    """Train on `count` images of `data`, one view of each, from the batches that are `done`; yield what is done then.

    Where `count` is above the number of images, the first of another order follow the last one. `rates`: one for each
    batch. Seed and epoch determine the order, the views, the dropout masks and the mixtures. Raises NotFinite.
    """
    images = len(data.labels)
    generator = np.random.default_rng([config.seed, number])
    rows = np.arange(images) * data.views + generator.integers(data.views, size=images)
    order = np.concatenate([generator.permutation(images) for _ in range(ceil(count / images))])[:count]
    batches = list(slices(order, config.batch_size))
    seeds = generator.integers(2**62, size=len(batches))
    shares = generator.beta(config.mixup, config.mixup, len(batches)) if config.mixup else np.ones(len(batches))
    weights = np.ones(images, np.float32) if data.weights is None else data.weights
    rate = math.nan
    for place, index in enumerate(batches):
        if place < done.batches:
            continue
        share = max(shares[place], 1 - shares[place])
        if rates[place] != rate:
            head.set_rate(rate := rates[place])
        loss, correct = head.step(data.rows[rows[index]], data.labels[index], weights[index], seeds[place], share)
        if not math.isfinite(loss):
            names = first_few([str(data.paths[i]) for i in index], NAMED) if data.paths else ""
            raise NotFinite(f"the loss became {loss} in epoch {number}, batch {place + 1} of {len(batches)} ({names})")
        done = Part(place + 1, done.loss + loss, done.correct + correct)
        yield done


def _start_rate(config: Settled, state: State) -> float:
    """Return the rate that the schedule falls from, halved as often as the loss was not finite."""
    return config.learning_rate / 2**state.halvings


def _patience_lost(state: State, config: Settled) -> bool:
    """Return whether the best epoch is so many epochs ago that training stops early."""
    return bool(config.patience and state.history and len(state.history) - state.best.epoch >= config.patience)
