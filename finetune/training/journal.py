"""What a training writes while it runs: the run's first files, then its states, history and events."""

import logging
import time

from finetune.data.dataset import Dataset
from finetune.runs.run import Run
from finetune.system.text import percent
from finetune.training.checkpoint import save_checkpoint
from finetune.training.contact_sheet import contact_sheet
from finetune.training.describe import describe
from finetune.training.events import Events
from finetune.training.facts import facts
from finetune.training.plan import Plan
from finetune.training.state import Epoch, State

logger = logging.getLogger(__name__)

COLUMNS = ("epoch", "  loss", "accuracy", "validation loss", "validation accuracy", "seconds")  # with the mark, 76 wide


class Journal:
    """The files of one run that change while it is trained."""

    def __init__(self, run: Run, plan: Plan, dataset: Dataset, started: bool) -> None:
        """`dataset`: as it was read, before any image turned out unreadable. `started`: the run is resumed."""
        self._run, self._plan, self._dataset, self._started = run, plan, dataset, started
        self._events: Events | None = None
        self._clock = 0.0
        self._begun = False

    def begin(self) -> None:
        """Log the header of the table of epochs, and start the clock of the first one."""
        if not self._begun:
            logger.info("%s", "  ".join(COLUMNS))
        self._begun, self._clock = True, time.monotonic()

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
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        cells = (
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            percent(epoch.train_accuracy),
            f"{epoch.val_loss:.4f}",
            percent(epoch.val_accuracy),
            f"{seconds:.1f}",
        )
        row = "  ".join(cell.rjust(len(column)) for cell, column in zip(cells, COLUMNS, strict=True))
        logger.info("%s%s", row, self._mark(state))

    def _mark(self, state: State) -> str:
        """Return a mark for the epoch that is kept: with patience each that is the best so far, otherwise the last."""
        epoch = state.history[-1]
        if self._plan.config.patience:
            return "  best" if state.kept is epoch else ""
        return "  kept" if epoch.epoch == self._plan.last_epoch else ""

    def report_interruption(self, done: int) -> None:
        """Log how many epochs are done, and which one is kept."""
        logger.warning(
            "interrupted: %d of %d epochs are done; %s",
            done,
            self._plan.last_epoch,
            "keeping the best" if self._plan.config.patience else "keeping the last",
        )
