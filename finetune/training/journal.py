"""What a training writes on its way: with its first state the run begins, then the states, the history, the events."""

import logging
from collections.abc import Callable
from functools import partial

from finetune.data.dataset import Dataset
from finetune.runs.run import Run
from finetune.training.checkpoint import save_state
from finetune.training.events import Events
from finetune.training.loop import Epoch, State

logger = logging.getLogger(__name__)


# Makes a new run begin: with the images that could be read, and with what a function writes to the run it is given.
Begin = Callable[[Dataset, Callable[[Run], None]], None]


class Journal:
    """The files of one run that change while it is trained; `begin` is None for a run that is resumed."""

    def __init__(self, run: Run, begin: Begin | None, last_epoch: int, tensorboard: bool) -> None:
        self._run = run
        self._begin = begin
        self._last_epoch = last_epoch
        self._tensorboard = tensorboard
        self._events: Events | None = None

    def keep(self, state: State, dataset: Dataset) -> None:
        """Write a state, and tell the epoch that it is the end of; the first state makes a new run begin."""
        if self._begin:
            self._begin(dataset, partial(_write, state=state))
            self._begin = None
        else:
            _write(self._run, state)
        if state.part.batches:
            return
        if self._tensorboard:
            self._events = self._events or Events(self._run.tensorboard)
            self._events.write(state.history)
        _tell_epoch(state.history[-1], self._last_epoch)

    def tell_interrupted(self, done: int) -> None:
        """Say how many epochs were done and how to go on."""
        logger.warning(
            "interrupted: %d of %d epochs were done; keeping the best (finetune train --resume %s goes on)",
            done,
            self._last_epoch,
            self._run.path,
        )


def _write(run: Run, state: State) -> None:
    if state.part.batches:
        save_state(run.checkpoint_within, state)
    else:
        run.write_history(Epoch._fields, state.history)
        save_state(run.checkpoint, state)


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
