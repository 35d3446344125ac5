import gc
import threading
import time
from collections.abc import Iterator
from itertools import count, islice

import pytest

from finetune.system.parallel import LOOK_AHEAD, parallel_map


def test_results_come_in_order_however_long_each_takes() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.02 if item % 7 == 0 else 0)
        return item * item

    assert list(parallel_map(slow_at_first, range(200))) == [item * item for item in range(200)]


@pytest.mark.parametrize("length", [0, 1, LOOK_AHEAD - 1, LOOK_AHEAD, LOOK_AHEAD + 1])
def test_nothing_is_lost_at_any_length(length: int) -> None:
    assert list(parallel_map(str, range(length))) == list(map(str, range(length)))


def test_an_exception_comes_in_its_place() -> None:
    def fail_at_90(item: int) -> int:
        if item == 90:
            raise ValueError("ninety")
        return item

    results = parallel_map(fail_at_90, count())
    assert list(islice(results, 90)) == list(range(90))
    with pytest.raises(ValueError, match=r"^ninety$"):
        next(results)


def test_an_exception_of_the_items_comes_through() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("the disk went away")

    with pytest.raises(OSError, match=r"^the disk went away$"):
        list(parallel_map(str, items()))


def test_look_ahead_is_bounded() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in count():
            taken += 1
            yield item

    results = parallel_map(str, items())
    assert taken == 0
    for done in range(1, 200):
        next(results)
        assert taken < done + LOOK_AHEAD
    results.close()


def test_work_stops_when_the_consumer_stops() -> None:
    begun = []

    def note(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        return item

    before = threading.active_count()
    results = parallel_map(note, count())
    assert list(islice(results, 3)) == [0, 1, 2]
    del results
    gc.collect()
    assert len(begun) < LOOK_AHEAD
    assert threading.active_count() == before
