"""Batches computed by one worker on each machine of a Ray cluster: results in order, whatever dies meanwhile."""

import logging
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.errors import FinetuneError, RunError
from finetune.system.quiet import import_tensorflow
from finetune.system.ray_cluster import last_line, machines

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0  # at which machines there are
LOOK_AHEAD = 64  # batches on a machine, or waiting for an earlier one, for each machine
SENT = 2  # batches that a worker has: it computes one while the next is on its way
TRIES_OF_BATCH = 2  # then each of its items is tried alone, and one that ends a third worker is set aside
MOST_DEATHS = 8  # of workers on a machine that finish nothing; then it gets no other
SET_ASIDE = "not computed: three workers that tried it were killed; it may need more memory than they have"

WorkerFunction = Callable[[list[Any]], Any]


class Computed(NamedTuple):
    """The result for the items of a batch, but for those at the positions in `lost`, which were set aside."""

    result: Any
    lost: tuple[int, ...]


def compute(make: Callable[[Any], WorkerFunction], shared: Any, batches: Iterable[Sequence[Any]]) -> Iterator[Computed]:
    """Yield `make(shared)(batch)` for each batch, in order; call it within `connected`.

    Each machine of the cluster, also one that joins later, has a worker, which calls `make(shared)` once. If a worker
    or its machine dies, another one computes its batch. An item that ends three workers is set aside, and its batch is
    computed without it. All that is sent must be picklable. Raises a FinetuneError that a worker raises, and RunError
    for any other error of one, and if no machine can compute.
    """
    return _ClusterJob(make, shared, batches).answers()


class Worker:
    """A process on a machine of the cluster. What it is given and what it returns is pickled.

    Ray's own way of sending refuses texts that are not UTF-8, which names of files need not be.
    """

    def __init__(self, pickled: tuple[bytes, list[NDArray[np.uint8]]]) -> None:
        """Import TensorFlow before anything is unpickled, which would import it with other settings."""
        import_tensorflow()
        data, buffers = pickled
        make, shared = pickle.loads(data, buffers=buffers)  # noqa: S301 (from our own command)
        self._function = make(shared)

    def ready(self) -> None:
        """Return once it can compute."""

    def compute(self, items: bytes) -> bytes:
        """Return the result for some items, or the FinetuneError that ends the job."""
        try:
            return pickle.dumps(self._function(pickle.loads(items)))  # noqa: S301 (from our own command)
        except FinetuneError as error:
            return pickle.dumps(error)


@dataclass
class _Task:
    """A batch; or, after it has ended workers, one of its items alone.

    `lost`: positions of items that are set aside. `untried`: how many items have still to be tried alone. `whole` and
    `position`: of an item that is tried alone.
    """

    number: int
    items: Sequence[Any]
    deaths: int = 0
    lost: list[int] = field(default_factory=list)
    untried: int = 0
    was_divided: bool = False
    whole: "_Task | None" = None
    position: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may end a worker: then nothing is sent after it, whose result could be lost with the worker."""
        return self.deaths > 0 or self.whole is not None

    def to_send(self) -> bytes:
        return pickle.dumps([item for position, item in enumerate(self.items) if position not in self.lost])

    def after_death(self) -> list["_Task"]:
        """Return what to compute next, now that this has ended a worker."""
        self.deaths += 1
        if self.whole:
            self.whole.lost.append(self.position)
            return self.whole.after_trial()
        if self.deaths < TRIES_OF_BATCH:
            return [self]
        if self.was_divided:
            raise RunError(
                "workers die with a batch, but not with its images alone; expected machines with more memory; fix that "
                "and continue with --resume"
            )
        self.was_divided, self.untried = True, len(self.items)
        return [_Task(self.number, [item], whole=self, position=place) for place, item in enumerate(self.items)]

    def after_trial(self) -> list["_Task"]:
        """Return the batch, one more of whose items was tried alone, once that holds for all of them."""
        self.untried -= 1
        self.deaths = 0
        return [] if self.untried else [self]


@dataclass
class _ClusterMachine:
    """A machine with its worker, and the tasks that the worker has, the first of which it computes now.

    `starting`: a reference that is ready once the worker is, None from then on; tasks have no reference before.
    `deaths`: since a task was finished here.
    """

    worker: Any = None
    starting: Any = None
    tasks: deque[tuple[Any, _Task]] = field(default_factory=deque)
    deaths: int = 0

    def takes(self, task: _Task, depth: int) -> bool:
        """Whether it can have another task: up to `depth`, and a suspect one only by itself."""
        tasks = [task, *(sent for _, sent in self.tasks)]
        return len(tasks) <= depth and (len(tasks) == 1 or not any(each.is_suspect for each in tasks))

    def add(self, task: _Task) -> None:
        reference = None if self.starting else self.worker.compute.remote(task.to_send())
        self.tasks.append((reference, task))

    def begin(self) -> None:
        """Send the tasks that waited for the worker."""
        self.starting = None
        self.tasks = deque((self.worker.compute.remote(task.to_send()), task) for _, task in self.tasks)

    def bury(self) -> list[_Task]:
        """Forget the dead worker, and return the tasks that it had."""
        tasks = [task for _, task in self.tasks]
        self.tasks.clear()
        self.worker = self.starting = None
        self.deaths += 1
        return tasks


class _ClusterJob:
    """Batches on their way from `batches` to `answers`."""

    def __init__(self, make: Callable[[Any], WorkerFunction], shared: Any, batches: Iterable[Sequence[Any]]) -> None:
        import ray

        self._pickled = ray.put(_pickled(make, shared))  # once; every machine fetches it from the object store
        self._new = (_Task(number, batch) for number, batch in enumerate(batches))
        self._again: deque[_Task] = deque()
        self._answers: dict[int, Computed] = {}
        self._begun = self._yielded = 0
        self._machines: dict[str, _ClusterMachine] = {}
        self._looked = -SECONDS_BETWEEN_LOOKS
        self._why = ""

    def answers(self) -> Iterator[Computed]:
        """Yield the answers in the order of the batches."""
        import ray

        try:
            while True:
                self._look_for_machines()
                self._send()
                if self._yielded == self._begun:
                    return
                self._receive()
                while self._yielded in self._answers:
                    answer = self._answers.pop(self._yielded)
                    if isinstance(answer.result, FinetuneError):  # the first in the order of the batches, as locally
                        raise answer.result
                    yield answer
                    self._yielded += 1
        finally:
            for machine in self._machines.values():
                if machine.worker:
                    ray.kill(machine.worker)

    def _look_for_machines(self) -> None:
        """Take in machines that have joined; what was sent to those that have left is sent again."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        alive = {machine["NodeID"] for machine in machines()}
        for node in alive - self._machines.keys():
            self._machines[node] = _ClusterMachine()
        for node in self._machines.keys() - alive:
            self._again.extend(task for _, task in self._machines.pop(node).tasks)
        if not alive:
            raise RunError("no machine of the Ray cluster is left; start one and continue with --resume")

    def _send(self) -> None:
        """Send batches to the machines until each has enough."""
        usable = [(node, machine) for node, machine in self._machines.items() if machine.deaths < MOST_DEATHS]
        if not usable:
            raise RunError(
                f"workers died {MOST_DEATHS} times on every machine of the Ray cluster ({self._why}); expected "
                "machines with enough memory for the model; fix that and continue with --resume"
            )
        for depth in range(1, SENT + 1):
            for node, machine in usable:
                task = self._next_task(LOOK_AHEAD * len(usable))
                if task and machine.takes(task, depth):
                    if machine.worker is None:
                        self._start(node, machine)
                    machine.add(task)
                elif task:
                    self._again.appendleft(task)

    def _next_task(self, look_ahead: int) -> _Task | None:
        if self._again:
            return self._again.popleft()
        if self._begun - self._yielded >= look_ahead:
            return None
        task = next(self._new, None)
        self._begun += task is not None
        return task

    def _start(self, node: str, machine: _ClusterMachine) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        kind = ray.remote(Worker).options(num_cpus=1, scheduling_strategy=there)  # few: another one has to fit as well
        machine.worker = kind.remote(self._pickled)
        machine.starting = machine.worker.ready.remote()

    def _receive(self) -> None:
        """Wait for a result, or until it is time to look for machines, and sort in what has arrived."""
        import ray

        awaited = {
            machine.starting or machine.tasks[0][0]: machine for machine in self._machines.values() if machine.tasks
        }
        ready, _ = ray.wait(list(awaited), timeout=SECONDS_BETWEEN_LOOKS) if awaited else ([], [])
        for reference in ready:
            machine = awaited[reference]
            try:
                result = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise RunError(
                    f"a Ray worker failed ({last_line(error)}); fix that and continue with --resume"
                ) from None
            except ray.exceptions.RayError as error:
                self._why = last_line(error)
                logger.debug("a Ray worker died: %s", self._why)
                was_computing = not machine.starting
                first, *others = machine.bury()
                self._again.extend(first.after_death() if was_computing else [first])
                self._again.extend(others)
                continue
            if machine.starting:
                machine.begin()
            else:
                self._finish(machine, pickle.loads(result))  # noqa: S301 (from our own worker)

    def _finish(self, machine: _ClusterMachine, result: Any) -> None:
        machine.deaths = 0
        _, task = machine.tasks.popleft()
        if task.whole:
            self._again.extend(task.whole.after_trial())
        else:
            self._answers[task.number] = Computed(result, tuple(sorted(task.lost)))


def _pickled(make: Callable[[Any], WorkerFunction], shared: Any) -> tuple[bytes, list[NDArray[np.uint8]]]:
    """Return the two pickled, with the memory of arrays apart, so that the workers of a machine share it."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps((make, shared), protocol=5, buffer_callback=buffers.append)
    return data, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]
