"""Run a function on many items on all cores, in order, with bounded look-ahead."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOK_AHEAD = 64  # items being computed or waiting: enough to fill a batch while another is computed


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield function(item) for every item, in order.

    Uses threads, because decoding and hashing release Python's lock. At most LOOK_AHEAD results wait, so memory does
    not grow with the number of items. An exception of the function is raised in its item's place.
    """
    pool = ThreadPoolExecutor(max_workers=os.cpu_count() or 1)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= LOOK_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
