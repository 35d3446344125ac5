"""Workers on the machines of a Ray cluster."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from finetune.errors import RunError, UsageError, WorkerError
from finetune.system.ray_cluster import SECONDS_TO_ANSWER, last_line, machines
from finetune.training.head_worker import HeadWorker
from finetune.training.worker_group import SECONDS_TO_END


@contextmanager
def cluster_group(count: int) -> Iterator["ClusterGroup"]:
    """Yield so many workers, spread over the machines of the cluster, which are killed in the end.

    Call it within `connected`. Raises UsageError for more workers than the cluster has GPUs, if it has any, RunError if
    they do not start in time.
    """
    group = ClusterGroup()
    try:
        group.start(count)
        yield group
    finally:
        group.kill()


class ClusterGroup:
    """A `WorkerGroup` of Ray actors, each with a GPU of its own if the cluster has some.

    They ask for no core: those are for the workers that compute the frozen layers, and the two take turns.
    """

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self._actors: list[Any] = []

    def start(self, count: int) -> None:
        """Start the workers where `places` says."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        for machine in places(machines(), count):
            there = NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False)
            gpus = min(_gpus(machine), 1)
            kind = ray.remote(HeadWorker).options(num_cpus=0, num_gpus=gpus, scheduling_strategy=there)
            self._actors.append(kind.remote())
            self.hosts.append(machine["NodeManagerAddress"])
        starting = [actor.__ray_ready__.remote() for actor in self._actors]
        ready, missing = ray.wait(starting, num_returns=count, timeout=SECONDS_TO_ANSWER)
        if missing:
            raise RunError(
                f"the Ray cluster has started {len(ready)} of {count} workers in {SECONDS_TO_ANSWER:g} seconds; see "
                "`ray status`, as each needs a GPU of its own if the cluster has some, and continue with --resume"
            )

    def kill(self) -> None:
        """End all workers."""
        import ray

        for actor in self._actors:
            ray.kill(actor)

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return what a method returns in each of the first workers; see `WorkerGroup`."""
        import ray

        asked = [getattr(actor, method).remote(*each) for actor, each in zip(self._actors, arguments, strict=False)]
        waiting, answers = asked, {}
        while waiting:
            ready, waiting = ray.wait(waiting)
            try:
                answers[ready[0]] = ray.get(ready[0])
            except ray.exceptions.RayError as error:
                raise self._error(asked, error) from None
        return [answers[reference] for reference in asked]

    def _error(self, asked: list[Any], error: Exception) -> WorkerError:
        """Return an error that names the worker which has ended, otherwise one that has failed."""
        import ray

        ready, _ = ray.wait(asked, num_returns=len(asked), timeout=SECONDS_TO_END)
        for reference in ready:
            try:
                ray.get(reference)
            except ray.exceptions.RayTaskError:  # it failed for want of another one
                continue
            except ray.exceptions.RayError as ended:
                place = asked.index(reference) + 1
                return WorkerError(f"worker {place} of {len(self._actors)} has ended ({last_line(ended)})")
        return WorkerError(f"a worker has failed ({last_line(error)})")


def places(found: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return the machine of each worker: one machine after the other, and again from the first.

    If some have GPUs, only those, each as often as it has GPUs at most: TensorFlow does not add gradients of
    GPUs to those of processors. Raises UsageError if there are fewer, RunError without a machine.
    """
    if not found:
        raise RunError("no machine of the Ray cluster is left; start one and continue with --resume")
    gpus = [_gpus(machine) for machine in found]
    if not any(gpus):
        return [found[place % len(found)] for place in range(count)]
    if count > sum(gpus):
        raise UsageError(f"--workers {count}: expected at most {sum(gpus)}, the GPUs of the Ray cluster")
    turns = [machine for turn in range(max(gpus)) for machine, own in zip(found, gpus, strict=True) if turn < own]
    return turns[:count]


def _gpus(machine: dict[str, Any]) -> int:
    return int(machine["Resources"].get("GPU", 0))
