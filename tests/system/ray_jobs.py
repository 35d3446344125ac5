"""`ClusterWorkers` on a cluster of two machines; `test_ray_workers.py` runs this file in its own process."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ray_functions import BROKEN, DEADLY, joiner, unable, visible_gpu
from support.ray_machines import MACHINE, two_machines, workers

from finetune.errors import RunError
from finetune.system import ray_workers
from finetune.system.ray_cluster import connected
from finetune.system.ray_tasks import Computed
from finetune.system.ray_workers import ClusterWorkers, WorkerFunction

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_machines() as cluster, connected(cluster.address):
        yield cluster


def compute(make: Callable[[Any], WorkerFunction], shared: Any, batches: list[list[str]]) -> Iterator[Computed]:
    """Compute batches with workers for these alone."""
    with ClusterWorkers(make, shared) as cluster_workers:
        yield from cluster_workers.compute(batches)


def wait_until(found: Callable[[], bool], expected: str) -> None:
    deadline = time.monotonic() + 60
    while not found():
        assert time.monotonic() < deadline, expected
        time.sleep(0.1)


def test_an_item_that_ends_three_workers_is_set_aside(cluster: Any, tmp_path: Path) -> None:
    """Its batch is tried twice, then each of its items alone; all others are computed, in order, as if it were not."""
    batches = [["a", "b"], ["c", DEADLY, "d"], ["e", "caf\udce9"], ["f"]]
    answers = list(compute(joiner, ("-", tmp_path / "diary"), batches))
    assert answers == [("a-b", ()), ("c-d", (1,)), ("e-caf\udce9", ()), ("f", ())]
    tries = Counter((tmp_path / "diary").read_bytes().decode("utf-8", "surrogateescape").splitlines())
    assert tries[f"c,{DEADLY},d"] == 2
    assert (tries["c"], tries[DEADLY], tries["d"], tries["c,d"]) == (1, 1, 1, 1)


def test_a_machine_goes_and_another_comes(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_workers, "SECONDS_BETWEEN_LOOKS", 0.5)
    batches = [[str(number)] for number in range(2000)]
    found = []
    for answer in compute(joiner, ("-", tmp_path / "diary"), batches):
        found.append(answer.result)
        if len(found) == 20:
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)
        if len(found) == 1000:
            cluster.add_node(**MACHINE)
    assert found == [str(number) for number in range(2000)]


def test_an_error_of_a_worker_ends_the_job(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a Ray worker failed \(MemoryError: too large\); fix that and continue with"):
        list(compute(joiner, ("-", tmp_path / "diary"), [["a"], [BROKEN]]))
    wait_until(lambda: not any(workers(cluster)), "no workers are left")


def test_no_machine_can_compute(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent to workers that never began is not set aside."""
    monkeypatch.setattr(ray_workers, "MOST_DEATHS", 2)
    with pytest.raises(RunError, match=r"workers died 2 times on every machine of the Ray cluster \(.+\); expected"):
        list(compute(unable, None, [["a"]]))


def test_nothing_to_compute(cluster: Any) -> None:
    assert list(compute(unable, None, [])) == []


def test_workers_stay_for_another_call(cluster: Any, tmp_path: Path) -> None:
    """But not after one that was given up, whose answers are still on their way; none stays after the block."""
    with ClusterWorkers(joiner, ("-", tmp_path / "diary")) as cluster_workers:
        assert list(cluster_workers.compute([[str(number)] for number in range(40)]))
        first = workers(cluster)
        assert [result for result, _ in cluster_workers.compute([["a", "b"], ["c"]])] == ["a-b", "c"]
        assert workers(cluster) == first
        given_up = cluster_workers.compute([[str(number)] for number in range(40)])
        next(given_up)
        given_up.close()
        assert [result for result, _ in cluster_workers.compute([["d"], ["e", "f"]])] == ["d", "e-f"]
    wait_until(lambda: not any(workers(cluster)), "no workers are left")


@pytest.mark.parametrize(("on_gpus", "seen"), [(True, {"0", "1", "all"}), (False, {"-1", "all"})])
def test_a_worker_for_each_gpu(cluster: Any, on_gpus: bool, seen: set[str]) -> None:
    """Ray shows each worker one of them; a machine without any has one worker, from which nothing is hidden.

    Workers that may have none get none, and see none.
    """
    machine = cluster.add_node(**{**MACHINE, "num_cpus": 3, "num_gpus": 2})
    try:
        with ClusterWorkers(visible_gpu, None, on_gpus) as cluster_workers:
            answers = cluster_workers.compute([[str(number)] for number in range(200)])
            assert {result for result, _ in answers} == seen
    finally:
        cluster.remove_node(machine)
