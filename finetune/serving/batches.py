"""The queue between requests and the network: jobs that wait together are computed as one batch."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

Compute = Callable[[list[bytes]], Sequence[Any]]  # from image files to one result for each

MOST_WAITING = 256  # images: a few seconds of work
BATCH = 32  # images, as in `networks/compiled.py`: more at once are no faster on CPUs
GATHER_SECONDS = 0.002  # in which the next request of a client that was just answered arrives


class QueueFullError(Exception):
    """As many images wait as the queue holds."""


class _Job(NamedTuple):
    compute: Compute
    images: Sequence[bytes]
    results: "Future[list[Any]]"


class Batches:
    """One thread that computes jobs in the order in which they came, those with an equal function together.

    While a batch is computed the next one gathers. After a batch of several jobs, the next also waits for as many
    images while they come, each within GATHER_SECONDS: an image of a batch of eight takes half the time of one alone.
    A single client never waits. A job whose future was cancelled is dropped. `images` and `batches` count what was
    computed.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self.images = 0
        self.batches = 0
        self._most_waiting = most_waiting
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopped = False
        self._company = 0  # images of the last batch, if it was of several jobs
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
        """Return how many images wait."""
        return sum(len(job.images) for job in list(self._jobs))

    def submit(self, compute: Compute, images: Sequence[bytes]) -> "Future[list[Any]]":
        """Return the future results of `compute`, one for each image; raise QueueFullError if no more may wait."""
        job = _Job(compute, images, Future())
        with self._changed:
            if self._stopped or (self._jobs and self.waiting() + len(images) > self._most_waiting):
                raise QueueFullError
            self._jobs.append(job)
            self._changed.notify()
        return job.results

    def _work(self) -> None:
        while jobs := self._next_batch():
            images = [each for job in jobs for each in job.images]
            try:
                found = list(jobs[0].compute(images))
            except Exception as error:
                for job in jobs:
                    job.results.set_exception(error)
                continue
            self.images += len(images)
            self.batches += 1
            for job in jobs:
                job.results.set_result(found[: len(job.images)])
                del found[: len(job.images)]

    def _next_batch(self) -> list[_Job]:
        """Wait for jobs and return the first, and those behind it that join its batch; none once it is stopped."""
        jobs: list[_Job] = []
        with self._changed:
            while not jobs and not self._stopped:
                self._changed.wait_for(lambda: self._jobs or self._stopped)
                self._gather()
                while self._jobs and self._joins(jobs, self._jobs[0]):
                    job = self._jobs.popleft()
                    if job.results.set_running_or_notify_cancel():
                        jobs.append(job)
        self._company = sum(len(job.images) for job in jobs) if len(jobs) > 1 else 0
        return jobs

    def _gather(self) -> None:
        """Wait for as many images as the last batch had, as long as they come shortly after each other."""
        more = True
        while more and not self._stopped and (before := self.waiting()) < self._company:
            more = self._changed.wait_for(lambda: self.waiting() > before or self._stopped, GATHER_SECONDS)

    def _joins(self, jobs: list[_Job], job: _Job) -> bool:
        count = sum(len(each.images) for each in jobs)
        return not jobs or (job.compute == jobs[0].compute and count + len(job.images) <= BATCH)
