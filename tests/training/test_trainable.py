"""How a batch is divided among replicas."""

import numpy as np
import pytest

from finetune.training.state import HeadValues
from finetune.training.trainable import LabelledRows, Trainable, TrainingBatch


class Recorded(Trainable):
    """Keeps what it is asked to train on, and answers with sums."""

    def __init__(self, replicas: int, mixes: bool = False) -> None:
        self.replicas, self.mixes = replicas, mixes
        self.batches: list[TrainingBatch] = []

    def train_on(self, batch: TrainingBatch) -> tuple[float, float]:
        self.batches.append(batch)
        return 0.0, 0.0

    def validate_on(self, rows: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        return float(rows.sum()), float(len(labels))

    def set_rate(self, rate: float) -> None:
        raise NotImplementedError

    def values(self) -> HeadValues:
        raise NotImplementedError

    def restore(self, values: HeadValues) -> None:
        raise NotImplementedError


def batch(count: int, replicas: int, mixes: bool = False) -> TrainingBatch:
    """Return a batch of so many images, whose rows, labels and weights are their places."""
    recorded, places = Recorded(replicas, mixes), np.arange(count)
    recorded.step(places.astype(np.float32), places.astype(np.int32), places.astype(np.float32), seed=3, share=0.75)
    return recorded.batches[0]


@pytest.mark.parametrize(
    ("count", "replicas", "parts"),
    [
        (6, 1, [[0, 1, 2, 3, 4, 5]]),
        (6, 2, [[0, 1, 2], [3, 4, 5]]),
        (7, 3, [[0, 1], [2, 3], [4, 5, 6]]),
        (2, 4, [[0], [0], [1], [1]]),  # of empty parts one image is read, which does not count
        (1, 4, [[0], [0], [0], [0]]),
    ],
)
def test_parts(count: int, replicas: int, parts: list[list[int]]) -> None:
    whole = batch(count, replicas)
    found = [whole.part(replica) for replica in range(replicas)]
    assert [part.rows.tolist() for part in found] == parts
    assert [part.labels.tolist() for part in found] == parts
    assert [part.weights.tolist() for part in found] == parts
    assert [part.first for part in found] == [part[0] for part in parts]
    assert {(part.seed, part.share, part.before) for part in found} == {(3, 0.75, 0)}


@pytest.mark.parametrize("count", range(1, 20))
@pytest.mark.parametrize("replicas", range(1, 6))
def test_each_image_counts_once(count: int, replicas: int) -> None:
    bounds = batch(count, replicas).bounds
    assert (bounds[0], bounds[-1], len(bounds)) == (0, count, replicas + 1)
    sizes = np.diff(bounds)
    assert sizes.min() >= count // replicas
    assert sizes.max() <= -(-count // replicas)


def test_a_mixed_part_has_the_image_before_it() -> None:
    """Before the first one is the last one."""
    whole = batch(5, 2, mixes=True)
    assert whole.rows.tolist() == [4, 0, 1, 2, 3, 4]
    first, second = whole.part(0), whole.part(1)
    assert (first.rows.tolist(), first.first, first.before) == ([4, 0, 1], 0, 1)
    assert (second.labels.tolist(), second.first, second.before) == ([1, 2, 3, 4], 2, 1)


def test_evaluation_counts_every_image_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.training.trainable.EVALUATION_BATCH_SIZE", 2)
    data = LabelledRows(np.array([1.0, 2.0, 6.0]), np.zeros(3, np.int32))
    assert Recorded(2).evaluate(data) == (3.0, 1.0)
