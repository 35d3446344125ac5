"""The queue between requests and the network: jobs that wait together are computed as one batch."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from finetune.data.channels import Image

Compute = Callable[[list[Image]], Sequence[Any]]  # from inputs to one result for each

MOST_WAITING = 256  # inputs: a few seconds of work, and 50 MB with AlexNet
BATCH = 32  # inputs, as in `networks/compiled.py`: more at once are no faster on CPUs


class QueueFullError(Exception):
    """As many inputs wait as the queue holds."""


class _Job(NamedTuple):
    compute: Compute
    inputs: Sequence[Image]
    results: "Future[list[Any]]"


class Batches:
    """One thread that computes jobs in the order in which they came, those with an equal function together.

    While a batch is computed the next one gathers, so nothing ever waits for company. A job whose future was cancelled
    is dropped. `images` and `batches` count what was computed.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.images = 0
        self.batches = 0
        self._most_waiting = most_waiting
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the thread has started and was not stopped."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Cancel what waits and end the thread after its batch."""
        with self._changed:
            self._stopped = True
            for job in self._jobs:
                job.results.cancel()
            self._jobs.clear()
            self._changed.notify()
        self._thread.join()

    def waiting(self) -> int:
        """Return how many inputs wait."""
        return sum(len(job.inputs) for job in list(self._jobs))

    def submit(self, compute: Compute, inputs: Sequence[Image]) -> "Future[list[Any]]":
        """Return the future results of `compute`, one for each input; raise QueueFullError if no more may wait."""
        job = _Job(compute, inputs, Future())
        with self._changed:
            if self._stopped or (self._jobs and self.waiting() + len(inputs) > self._most_waiting):
                raise QueueFullError
            self._jobs.append(job)
            self._changed.notify()
        return job.results

    def _work(self) -> None:
        while jobs := self._next_batch():
            inputs = [each for job in jobs for each in job.inputs]
            try:
                found = list(jobs[0].compute(inputs))
            except Exception as error:
                for job in jobs:
                    job.results.set_exception(error)
                continue
            self.images += len(inputs)
            self.batches += 1
            for job in jobs:
                job.results.set_result(found[: len(job.inputs)])
                del found[: len(job.inputs)]

    def _next_batch(self) -> list[_Job]:
        """Wait for jobs and return the first, and those behind it that join its batch; none once it is stopped."""
        jobs: list[_Job] = []
        with self._changed:
            while not jobs and not self._stopped:
                self._changed.wait_for(lambda: self._jobs or self._stopped)
                while self._jobs and self._joins(jobs, self._jobs[0]):
                    job = self._jobs.popleft()
                    if job.results.set_running_or_notify_cancel():
                        jobs.append(job)
        return jobs

    def _joins(self, jobs: list[_Job], job: _Job) -> bool:
        count = sum(len(each.inputs) for each in jobs)
        return not jobs or (job.compute == jobs[0].compute and count + len(job.inputs) <= BATCH)
