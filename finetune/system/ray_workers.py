"""Batches computed by the workers of a Ray cluster: results in order, whatever dies meanwhile."""

import logging
import pickle
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np

from finetune.errors import FinetuneError, RunError
from finetune.system.quiet import import_tensorflow
from finetune.system.ray_cluster import last_line, machines
from finetune.system.ray_tasks import Computed, Task, Tasks

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 5.0  # at which machines there are
LOOK_AHEAD = 64  # batches that a worker has, or that wait for an earlier one, for each worker
SENT = 2  # batches that a worker has: it computes one while the next is on its way
MOST_DEATHS = 8  # of workers in one place that finish nothing; then it gets no other

WorkerFunction = Callable[[list[Any]], Any]


class ClusterWorkers:
    """The workers of a cluster: one on each machine, or on each GPU, also of machines that join later.

    `on_gpus`: whether they may have the GPUs; otherwise those are for others. They start when there is something to
    compute, call `make(shared)` once, and end with the block. Use it within `connected`. All that is sent must be
    picklable.
    """

    def __init__(self, make: Callable[[Any], WorkerFunction], shared: Any, on_gpus: bool = True) -> None:
        self._make, self._shared, self._on_gpus = make, shared, on_gpus
        self._places: dict[str, list[_Place]] = {}  # of each machine
        self._looked = -SECONDS_BETWEEN_LOOKS
        self._why = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def compute(self, batches: Iterable[Sequence[Any]]) -> Iterator[Computed]:
        """Yield `make(shared)(batch)` for each batch, in order. It can be called again, but only after its end.

        If a worker or its machine dies, another one computes its batch. An item that ends three workers is set aside,
        and its batch is computed without it. Raises a FinetuneError that a worker raises, and RunError for any other
        error of one, and if no machine can compute.
        """
        tasks = Tasks(batches)
        try:
            while True:
                self._look_for_machines(tasks)
                self._send(tasks)
                if tasks.all_answered:
                    return
                self._receive(tasks)
                yield from tasks.answers()
        finally:
            if not tasks.all_answered:
                self._end()  # they are still computing what nobody waits for

    def _end(self) -> None:
        import ray

        for worker in [place.worker for places in self._places.values() for place in places]:
            if worker:
                ray.kill(worker)
        self._places.clear()
        self._looked = -SECONDS_BETWEEN_LOOKS

    def _look_for_machines(self, tasks: Tasks) -> None:
        """Take in machines that have joined; what was sent to those that have left is sent again."""
        if time.monotonic() - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        alive = {machine["NodeID"]: machine["Resources"] for machine in machines()}
        for node in alive.keys() - self._places.keys():
            gpus = int(min(alive[node].get("GPU", 0), alive[node]["CPU"]))
            if self._on_gpus:
                self._places[node] = [_Place(node, min(gpus, 1)) for _ in range(max(gpus, 1))]
            else:
                self._places[node] = [_Place(node, 0, hide_gpus=gpus > 0)]
        for node in self._places.keys() - alive.keys():
            for place in self._places.pop(node):
                tasks.send_again(task for _, task in place.sent if task)
        if not alive:
            raise RunError("no machine of the Ray cluster is left; start one and continue with --resume")

    def _send(self, tasks: Tasks) -> None:
        """Send tasks to the workers until each has enough."""
        usable = [place for places in self._places.values() for place in places if place.deaths < MOST_DEATHS]
        if not usable:
            raise RunError(
                f"workers died {MOST_DEATHS} times on every machine of the Ray cluster ({self._why}); expected "
                "machines with enough memory for the model; fix that and continue with --resume"
            )
        for depth in range(1, SENT + 1):
            for place in usable:
                task = tasks.next(LOOK_AHEAD * len(usable))
                if task and place.takes(task, depth):
                    place.send(task, self._in_object_store)
                elif task:
                    tasks.put_back(task)

    @cached_property
    def _in_object_store(self) -> Any:
        """What every worker gets, once for each machine; the memory of arrays apart, so that its workers share it."""
        import ray

        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps((self._make, self._shared), protocol=5, buffer_callback=buffers.append)
        return ray.put((data, [np.frombuffer(buffer.raw(), np.uint8) for buffer in buffers]))

    def _receive(self, tasks: Tasks) -> None:
        """Wait for a result, or until it is time to look for machines, and sort in what has arrived."""
        import ray

        awaited = {place.sent[0][0]: place for places in self._places.values() for place in places if place.sent}
        ready, _ = ray.wait(list(awaited), timeout=SECONDS_BETWEEN_LOOKS) if awaited else ([], [])
        for reference in ready:
            place = awaited[reference]
            try:
                result = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                raise RunError(
                    f"a Ray worker failed ({last_line(error)}); fix that and continue with --resume"
                ) from None
            except ray.exceptions.RayError as error:
                self._why = last_line(error)
                logger.debug("a Ray worker died: %s", self._why)
                first, *others = place.bury()
                tasks.send_again(first.after_death() if first else [])
                tasks.send_again(task for task in others if task)
                continue
            task = place.received()
            if task:
                tasks.finish(task, pickle.loads(result))  # noqa: S301 (from our own worker)


@dataclass
class _Place:
    """A machine, or one of its GPUs, with its worker.

    `sent`: what the worker is to do, with a reference to each result: first, None for its own start. Until it has
    started, tasks wait here without a reference: one that ended it at once would take the result of the start with it.
    `deaths`: of workers here since the last result.
    """

    node: str
    gpus: int
    hide_gpus: bool = False  # Ray shows all of them to a worker that asks for none
    worker: Any = None
    sent: deque[tuple[Any, Task | None]] = field(default_factory=deque)
    deaths: int = 0

    def takes(self, task: Task, depth: int) -> bool:
        """Whether it can have another task: up to `depth`, and a suspect one only by itself."""
        tasks = [task, *(sent for _, sent in self.sent if sent)]
        return len(tasks) <= depth and (len(tasks) == 1 or not any(each.is_suspect for each in tasks))

    def send(self, task: Task, shared: Any) -> None:
        """Send a task, after starting a worker if there is none."""
        if self.worker is None:
            self._start(shared)
        is_starting = bool(self.sent) and self.sent[0][1] is None
        self.sent.append((None if is_starting else self._computed(task), task))

    def _computed(self, task: Task) -> Any:
        return self.worker.compute.remote(task.to_send())

    def _start(self, shared: Any) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(self.node, soft=False)
        variables = {"env_vars": {"CUDA_VISIBLE_DEVICES": "-1"}} if self.hide_gpus else None
        kind = ray.remote(Worker).options(
            num_cpus=1,  # few, since after a death another one has to fit as well
            num_gpus=self.gpus,
            runtime_env=variables,
            scheduling_strategy=there,
        )
        self.worker = kind.remote(shared)
        self.sent.append((self.worker.ready.remote(), None))

    def received(self) -> Task | None:
        """Forget and return the first of what was sent, which has a result; after the start, send what waits for it."""
        _, task = self.sent.popleft()
        if task:
            self.deaths = 0
        else:
            self.sent = deque((self._computed(waiting), waiting) for _, waiting in self.sent if waiting)
        return task

    def bury(self) -> list[Task | None]:
        """Forget the dead worker, and return what it had to do."""
        tasks = [task for _, task in self.sent]
        self.sent.clear()
        self.worker = None
        self.deaths += 1
        return tasks


class Worker:
    """A process on a machine of the cluster. What it is given and what it returns is pickled.

    Ray's own way of sending refuses texts that are not UTF-8, which names of files need not be.
    """

    def __init__(self, pickled: tuple[bytes, list[Any]]) -> None:
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
