"""Where a training is: its epochs, all that it needs to continue, and which state to return to."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from numpy.typing import NDArray

from finetune.networks.initialize import Arrays


class Epoch(NamedTuple):
    """One line of history.csv. Losses are mean cross-entropies in nats, accuracies are fractions."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float

    @property
    def rank(self) -> tuple[float, float]:
        """What makes an epoch the best: validation accuracy and, among equals, a low loss."""
        return self.val_accuracy, -self.val_loss


class Part(NamedTuple):
    """What is done of an epoch: batches, and the sums of their losses and of their correct answers."""

    batches: int = 0
    loss: float = 0.0
    correct: float = 0.0


class HeadValues(NamedTuple):
    """What training changes: the weights, their moving average (empty without one), the optimizers' variables."""

    weights: Arrays
    average: Arrays
    optimizer: tuple[NDArray[Any], ...]

    @property
    def in_use(self) -> Arrays:
        """The weights that are evaluated and kept: the average where there is one."""
        return {**self.weights, **self.average}


NOTHING_DONE = Part()
NO_VALUES = HeadValues({}, {}, ())


@dataclass(frozen=True)
class State:
    """All that is known at one moment: what training has found, and what it needs to continue from here.

    `values`: as they are now, NO_VALUES before anything is trained. `best_weights`: those that training changes, as
    they were in the `best` epoch, where that one is kept; otherwise None. `halvings`: how often the learning rate was
    halved. `part`: what is done of the epoch after the history.
    """

    values: HeadValues = NO_VALUES
    history: tuple[Epoch, ...] = ()
    best_weights: Arrays | None = None
    halvings: int = 0
    part: Part = NOTHING_DONE

    @property
    def best(self) -> Epoch:
        """The epoch with the highest validation accuracy and, among equals, the lowest loss; there must be one."""
        return max(self.history, key=lambda epoch: epoch.rank)

    @property
    def kept(self) -> Epoch:
        """The epoch whose weights become the model: the last or, where `best_weights` are kept, the best."""
        return self.history[-1] if self.best_weights is None else self.best

    @property
    def kept_weights(self) -> Arrays:
        """The weights of the kept epoch, of the layers that training changes: the average where there is one."""
        return self.values.in_use if self.best_weights is None else self.best_weights

    def after(self, epoch: Epoch, values: HeadValues, keep_best: bool = False) -> "State":
        """Return the state at the end of the next epoch; `keep_best` keeps the best weights in addition to the last."""
        best = None
        if keep_best:
            better = self.best_weights is None or epoch.rank > self.best.rank
            best = values.in_use if better else self.best_weights
        return State(values, (*self.history, epoch), best, self.halvings)

    def _in_stage(self, epochs: range, start: HeadValues) -> "State":
        """Return the state with the values that a stage starts from, unless it was reached within that stage."""
        reached = self.part.batches or (self.history and self.history[-1].epoch >= epochs.start)
        return self if reached else replace(self, values=start)


class Progress:
    """How far a training is; the one owner of the last state and of the last whole one.

    `latest`: the last state, perhaps within an epoch. `whole`: the last state at the end of an epoch, or the first; in
    the first epoch of a stage it is still the end of the stage before.
    """

    def __init__(self, whole: State | None = None, within: State | None = None) -> None:
        """`within` counts only when it belongs to the epoch that follows `whole`, not in an earlier one."""
        self.whole = whole or State()
        follows = within is not None and len(within.history) == len(self.whole.history)
        self.latest = within if within is not None and follows else self.whole
        self._restart = self.whole

    def enter_stage(self, epochs: range, start: HeadValues) -> None:
        """Start a stage, or return into it: states from before it keep their history and take the `start` values."""
        self._restart = self.whole._in_stage(epochs, start)
        self.latest = self.latest._in_stage(epochs, start)

    def advance(self, state: State) -> None:
        """Move on to a later state."""
        self.latest = state
        if not state.part.batches:
            self.whole = self._restart = state

    def go_back(self) -> None:
        """Return to the last whole state, or to the start of the stage, with the learning rate halved once more."""
        self.latest = replace(self._restart, halvings=self.latest.halvings + 1)
