"""The queue: order, company, its limit, errors, cancelling and stopping."""

import threading
from collections.abc import Iterator

import pytest

from finetune.serving.batches import BATCH, Batches, QueueFullError

WAIT = 10  # seconds, for what takes none


class Slow:
    """A function that waits at a gate, and remembers its batches: each image becomes its length."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[bytes]] = []

    def lengths(self, images: list[bytes]) -> list[int]:
        self.batches.append(images)
        self.entered.set()
        assert self.gate.wait(WAIT)
        if b"bad" in images:
            raise ValueError("bad")
        return [len(image) for image in images]

    def negatives(self, images: list[bytes]) -> list[int]:
        return [-length for length in self.lengths(images)]


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def batches(slow: Slow) -> Iterator[Batches]:
    """A queue whose thread is busy with the image `first` until the gate opens."""
    queue = Batches(most_waiting=40)
    queue.start()
    queue.submit(slow.lengths, [b"first"])
    assert slow.entered.wait(WAIT)
    yield queue
    slow.gate.set()
    queue.stop()


def test_what_waits_is_one_batch(batches: Batches, slow: Slow) -> None:
    futures = [batches.submit(slow.lengths, images) for images in ([b"a"], [b"bb", b"ccc"], [b""])]
    slow.gate.set()
    assert [future.result(WAIT) for future in futures] == [[1], [2, 3], [0]]
    assert slow.batches == [[b"first"], [b"a", b"bb", b"ccc", b""]]
    assert (batches.images, batches.batches) == (5, 2)


def test_another_function_is_another_batch_and_nobody_is_overtaken(batches: Batches, slow: Slow) -> None:
    futures = [batches.submit(slow.lengths, [b"a"]), batches.submit(slow.negatives, [b"b"])]
    futures.append(batches.submit(slow.lengths, [b"c"]))
    slow.gate.set()
    assert [future.result(WAIT) for future in futures] == [[1], [-1], [1]]
    assert slow.batches == [[b"first"], [b"a"], [b"b"], [b"c"]]


def test_a_batch_has_at_most_so_many_images(batches: Batches, slow: Slow) -> None:
    futures = [batches.submit(slow.lengths, [b"a"] * 20), batches.submit(slow.lengths, [b"a"] * (BATCH - 19))]
    slow.gate.set()
    assert [len(future.result(WAIT)) for future in futures] == [20, BATCH - 19]
    assert [len(batch) for batch in slow.batches] == [1, 20, BATCH - 19]


def test_a_full_queue_refuses(batches: Batches, slow: Slow) -> None:
    batches.submit(slow.lengths, [b"a"] * 39)
    with pytest.raises(QueueFullError):
        batches.submit(slow.lengths, [b"a"] * 2)
    batches.submit(slow.lengths, [b"a"])
    assert batches.waiting() == 40


def test_an_empty_queue_takes_a_job_of_any_size(slow: Slow) -> None:
    queue = Batches(most_waiting=2)
    future = queue.submit(slow.lengths, [b"a"] * 3)
    slow.gate.set()
    queue.start()
    assert future.result(WAIT) == [1, 1, 1]
    queue.stop()


def test_an_error_is_that_of_its_batch(batches: Batches, slow: Slow) -> None:
    bad, good = batches.submit(slow.lengths, [b"bad"]), batches.submit(slow.negatives, [b"a"])
    slow.gate.set()
    with pytest.raises(ValueError, match="bad"):
        bad.result(WAIT)
    assert good.result(WAIT) == [-1]


def test_a_cancelled_job_is_not_computed(batches: Batches, slow: Slow) -> None:
    left, stays = batches.submit(slow.lengths, [b"left"]), batches.submit(slow.lengths, [b"stays"])
    assert left.cancel()
    slow.gate.set()
    assert stays.result(WAIT) == [5]
    assert [b"left"] not in slow.batches
    assert slow.batches[1] == [b"stays"]


def test_stopping_cancels_what_waits(slow: Slow) -> None:
    queue = Batches()
    queue.start()
    running = queue.submit(slow.lengths, [b"first"])
    assert slow.entered.wait(WAIT)
    waiting = queue.submit(slow.lengths, [b"second"])
    threading.Timer(0.1, slow.gate.set).start()
    queue.stop()
    assert running.result(WAIT) == [5]
    assert waiting.cancelled()
    assert not queue.running
    with pytest.raises(QueueFullError):
        queue.submit(slow.lengths, [b"late"])
