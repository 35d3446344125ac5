"""The training loop: epoch by epoch, from any state on, back to the last good one when the loss is no number."""

import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from finetune.config import TrainConfig
from finetune.errors import FinetuneError
from finetune.system.progress import track
from finetune.training.head import Head, Labelled, Values, slices
from finetune.training.optimization import scheduled_rate
from finetune.training.plan import SGD_LEARNING_RATE, Arrays

logger = logging.getLogger(__name__)

MOST_HALVINGS = 3  # of the learning rate, before training gives up on a loss that is no number
NAMED = 3  # images of a batch that a message names


class Epoch(NamedTuple):
    """One line of history.csv. Losses are mean cross-entropies in nats, accuracies fractions."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


class Part(NamedTuple):
    """What was done of an epoch: batches, and the sums of their losses and of their right answers."""

    batches: int = 0
    loss: float = 0.0
    correct: float = 0.0


NOTHING_DONE = Part()


@dataclass(frozen=True)
class State:
    """All that is known at one moment: what training has found, and what it needs to go on from here.

    `values` are as they are now; `best_weights` those that training changes as they were in the `best` epoch.
    `halvings`: how often the learning rate was halved. `part`: what was done of the epoch after the history.
    """

    values: Values
    history: tuple[Epoch, ...] = ()
    best_weights: Arrays | None = None
    halvings: int = 0
    part: Part = NOTHING_DONE

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy and, among equals, the lowest loss; there must be one."""
        return max(self.history, key=_rank)


class NotFinite(Exception):  # noqa: N818 (no error of its own: the loop answers it)
    """The loss is no number; the text says where."""


def train_head(
    head: Head,
    config: TrainConfig,
    train: Callable[[int], Labelled],
    val: Labelled,
    epochs: range,
    state: State | None = None,
    good: State | None = None,
) -> Iterator[State]:
    """Train and yield the state after every epoch, and every `checkpoint_minutes` within one; go on from `state`.

    `train` gives the training side for the number of an epoch. `epochs` are the numbers of the stage, over which the
    learning rate falls. `good` is the state before the epoch that `state` is within.
    Every batch and every dropout mask follows from the seed and the number of the epoch, so training that goes on
    from a state ends with the same bits as one that was never stopped. When the loss is no finite number the epoch
    begins again with half the learning rate; raises FinetuneError after MOST_HALVINGS times.
    """
    fresh = head.values()
    good = _of_stage(good or (State(fresh) if state is None or state.part.batches else state), epochs, fresh)
    state = _of_stage(state, epochs, fresh) if state else good
    head.restore(state.values)
    while len(state.history) + 1 in epochs and not _patience_lost(state, config):
        try:
            for state in _train_epoch(head, config, train, val, state, epochs):  # noqa: B020 (each follows the last)
                if not state.part.batches:
                    good = state
                yield state
        except NotFinite as problem:
            state = replace(good, halvings=state.halvings + 1)
            head.restore(state.values)
            rate = (config.learning_rate or SGD_LEARNING_RATE) / 2**state.halvings
            if state.halvings > MOST_HALVINGS:
                raise FinetuneError(
                    f"{problem}, even with the learning rate halved {MOST_HALVINGS} times to {2 * rate:g}; "
                    f"lower --learning-rate (it began at {config.learning_rate:g}), or look at these pictures"
                ) from None
            logger.warning("%s; back to the state before, with the learning rate halved to %g", problem, rate)


def _train_epoch(
    head: Head, config: TrainConfig, train: Callable[[int], Labelled], val: Labelled, state: State, epochs: range
) -> Iterator[State]:
    """Train the epoch that follows the state's history; yield states within it and the one after it."""
    number = len(state.history) + 1
    start = (config.learning_rate or SGD_LEARNING_RATE) / 2**state.halvings
    rate = scheduled_rate(start, number - epochs.start, len(epochs), config.schedule, config.warmup)
    head.set_rate(rate)
    data = train(number)
    saved = time.monotonic()
    part = state.part
    for part in _steps(head, config, data, number, state.part):
        if time.monotonic() - saved > 60 * config.checkpoint_minutes:
            yield replace(state, values=head.values(), part=part)
            saved = time.monotonic()
    count = len(data.labels)
    epoch = Epoch(number, rate, part.loss / count, part.correct / count, *head.evaluate(val))
    if not math.isfinite(epoch.val_loss):
        raise NotFinite(f"the validation loss became {epoch.val_loss} after epoch {number}")
    values = head.values()
    history = (*state.history, epoch)
    better = state.best_weights is None or _rank(epoch) > _rank(state.best)
    best = {**values.weights, **values.average} if better else state.best_weights
    yield State(values, history, best, state.halvings)


def _steps(head: Head, config: TrainConfig, data: Labelled, number: int, done: Part) -> Iterator[Part]:
    """Pass once over `data`, one view of each image, past the batches that are `done`; yield what is done then.

    Seed and epoch decide the order, the views, the dropout masks and the mixtures. Raises NotFinite.
    """
    count = len(data.labels)
    generator = np.random.default_rng([config.seed, number])
    rows = np.arange(count) * data.views + generator.integers(data.views, size=count)
    batches = list(slices(generator.permutation(count), config.batch_size))
    seeds = generator.integers(2**62, size=len(batches))
    shares = generator.beta(config.mixup, config.mixup, len(batches)) if config.mixup else np.ones(len(batches))
    weights = np.ones(count, np.float32) if data.weights is None else data.weights
    for place, index in enumerate(track(batches, len(batches), f"epoch {number}", "batches")):
        if place < done.batches:
            continue
        share = max(shares[place], 1 - shares[place])
        loss, correct = head.step(data.rows[rows[index]], data.labels[index], weights[index], seeds[place], share)
        if not math.isfinite(loss):
            names = ", ".join(str(data.paths[i]) for i in index[:NAMED]) if data.paths else ""
            more = f" and {len(index) - NAMED} more" if data.paths and len(index) > NAMED else ""
            raise NotFinite(
                f"the loss became {loss} in epoch {number}, batch {place + 1} of {len(batches)} ({names}{more})"
            )
        done = Part(place + 1, done.loss + loss, done.correct + correct)
        yield done


def _of_stage(state: State, epochs: range, fresh: Values) -> State:
    """Return the state with the values to begin the stage with, unless it is from within the stage."""
    begun = state.part.batches or (state.history and state.history[-1].epoch >= epochs.start)
    return state if begun else replace(state, values=fresh)


def _patience_lost(state: State, config: TrainConfig) -> bool:
    """Whether the best epoch is so many epochs ago that waiting for a better one is over."""
    return bool(config.patience and state.history and len(state.history) - state.best.epoch >= config.patience)


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_accuracy, -epoch.val_loss
