"""What a training writes while it runs: the run's first files, then its states, history and events."""

import logging

from finetune.data.dataset import Dataset
from finetune.runs.run import Run
from finetune.training.checkpoint import save_checkpoint
from finetune.training.contact_sheet import contact_sheet
from finetune.training.describe import describe
from finetune.training.events import Events
from finetune.training.facts import facts
from finetune.training.plan import Plan
from finetune.training.state import Epoch, State

logger = logging.getLogger(__name__)


class Journal:
    """The files of one run that change while it is trained."""

    def __init__(self, run: Run, plan: Plan, dataset: Dataset, started: bool) -> None:
        """`dataset`: as it was read, before any image turned out unreadable. `started`: the run is resumed."""
        self._run, self._plan, self._dataset, self._started = run, plan, dataset, started
        self._events: Events | None = None

    def keep(self, state: State, readable: Dataset) -> None:
        """Write a state; the first state of a new run brings the run's first files with it."""
        if self._started:
            save_checkpoint(self._run, state)
        else:
            with self._run.starting() as new:
                self._write_first_files(new, readable)
                save_checkpoint(new, state)
            self._started = True
        if not state.part.batches:
            self._report_epoch(state)

    def _write_first_files(self, new: Run, readable: Dataset) -> None:
        plan = self._plan
        new.write_config({**plan.config.to_json(), **facts(plan, self._dataset)})
        new.write_data(readable)
        new.write_plan(describe(plan, self._dataset))
        if plan.config.views != 1 and plan.augmentation.changes:
            new.write_augmented(contact_sheet(readable.records, plan.network.preprocessing, plan.augmentation))

    def _report_epoch(self, state: State) -> None:
        if self._plan.config.tensorboard:
            self._events = self._events or Events(self._run.tensorboard)
            self._events.write(state.history)
        epoch: Epoch = state.history[-1]
        logger.info(
            "epoch %d of %d: loss %.4f, accuracy %.1f %%; validation loss %.4f, accuracy %.1f %%",
            epoch.epoch,
            self._plan.last_epoch,
            epoch.train_loss,
            100 * epoch.train_accuracy,
            epoch.val_loss,
            100 * epoch.val_accuracy,
        )

    def report_interruption(self, done: int) -> None:
        """Log how many epochs are done and how to continue."""
        logger.warning(
            "interrupted: %d of %d epochs are done; %s (continue with finetune train --resume %s)",
            done,
            self._plan.last_epoch,
            "keeping the best" if self._plan.config.patience else "keeping the last",
            self._run.path,
        )
