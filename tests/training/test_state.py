"""Which state a training returns to, and which epoch is the best and which is kept."""

from dataclasses import replace

import numpy as np
import pytest

from finetune.training.state import Epoch, HeadValues, Part, Progress, State


def values(number: float) -> HeadValues:
    return HeadValues({"fc8/bias": np.full(2, number, np.float32)}, {}, (np.array(number),))


def epoch(number: int, accuracy: float = 0.5, loss: float = 1.0) -> Epoch:
    return Epoch(number, 0.1, 1.0, 0.5, loss, accuracy)


def after(count: int) -> State:
    """The state at the end of an epoch."""
    return State(values(count), tuple(epoch(number) for number in range(1, count + 1)))


def within(state: State) -> State:
    return replace(state, values=values(0.5), part=Part(3, 1.5, 2))


@pytest.mark.parametrize(
    ("results", "best"),
    [
        ([(0.5, 1.0), (0.75, 2.0), (0.5, 0.1)], 2),
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2),
        ([(0.5, 1.0), (0.5, 1.0)], 1),
    ],
    ids=["accuracy first", "loss among equals", "the earlier of two alike"],
)
def test_the_best_epoch(results: list[tuple[float, float]], best: int) -> None:
    state = State()
    for number, result in enumerate(results, start=1):
        state = state.after(epoch(number, *result), values(number), keep_best=True)
    assert (state.best.epoch, state.kept.epoch) == (best, best)
    assert state.kept_weights["fc8/bias"][0] == best, "with the weights of that epoch"


def test_without_keeping_the_best_the_last_epoch_is_kept() -> None:
    state = State().after(epoch(1, 0.9), values(1)).after(epoch(2, 0.1), values(2))
    assert (state.best.epoch, state.kept.epoch, state.best_weights) == (1, 2, None)
    assert state.kept_weights["fc8/bias"][0] == 2


@pytest.mark.parametrize("keep_best", [True, False])
def test_the_kept_weights_are_the_average_where_there_is_one(keep_best: bool) -> None:
    averaged = values(1)._replace(average={"fc8/bias": np.full(2, 7, np.float32)})
    assert State().after(epoch(1), averaged, keep_best).kept_weights["fc8/bias"][0] == 7


def test_a_new_training_has_done_nothing() -> None:
    progress = Progress()
    assert progress.latest is progress.whole
    assert progress.whole == State()
    progress.enter_stage(range(1, 4), values(0))
    assert progress.latest.values.weights["fc8/bias"][0] == 0
    assert progress.whole == State()


def test_a_state_within_the_next_epoch_counts() -> None:
    progress = Progress(after(2), within(after(2)))
    assert (progress.latest.part.batches, len(progress.whole.history), progress.whole.part.batches) == (3, 2, 0)


def test_a_state_within_an_epoch_that_is_over_does_not_count() -> None:
    progress = Progress(after(2), within(after(1)))
    assert progress.latest is progress.whole


def test_a_state_within_the_first_epoch() -> None:
    progress = Progress(None, within(State()))
    assert progress.latest.part.batches == 3
    progress.enter_stage(range(1, 4), values(9))
    assert progress.latest.values.weights["fc8/bias"][0] == 0.5
    progress.go_back()
    assert progress.latest.values.weights["fc8/bias"][0] == 9, "the start of the stage"


def test_entering_the_next_stage_keeps_the_history_only() -> None:
    progress = Progress(after(2))
    progress.enter_stage(range(3, 5), values(9))
    assert progress.latest.values.weights["fc8/bias"][0] == 9
    assert len(progress.latest.history) == 2
    assert progress.whole.kept_weights["fc8/bias"][0] == 2, "kept if this stage is interrupted in its first epoch"
    progress.advance(after(3))
    progress.go_back()
    assert progress.latest.values.weights["fc8/bias"][0] == 3


def test_returning_into_a_stage_keeps_its_values() -> None:
    progress = Progress(after(3))
    progress.enter_stage(range(3, 5), values(9))
    assert progress.latest.values.weights["fc8/bias"][0] == 3


def test_advance_and_go_back() -> None:
    progress = Progress(after(1))
    progress.advance(within(after(1)))
    assert (progress.latest.part.batches, len(progress.whole.history)) == (3, 1)
    progress.go_back()
    assert (progress.latest.part.batches, progress.latest.halvings) == (0, 1)
    assert progress.latest.values.weights["fc8/bias"][0] == 1
    progress.go_back()
    assert progress.latest.halvings == 2, "each time from the last whole state, and once more"
    progress.advance(after(2))
    assert progress.whole is progress.latest
