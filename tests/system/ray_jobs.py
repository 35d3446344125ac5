"""`ray_workers.compute` on a cluster of two machines; `test_ray_workers.py` runs this file in its own process."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ray_functions import BROKEN, DEADLY, joiner, unable
from support.ray_machines import MACHINE, two_machines, workers

from finetune.errors import RunError
from finetune.system import ray_workers
from finetune.system.ray_cluster import connected
from finetune.system.ray_workers import compute

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with two_machines() as cluster, connected(cluster.address):
        yield cluster


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
    deadline = time.monotonic() + 60
    while any(workers(cluster)):
        assert time.monotonic() < deadline, "workers are left"
        time.sleep(0.1)


def test_no_machine_can_compute(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent to workers that never began is not set aside."""
    monkeypatch.setattr(ray_workers, "MOST_DEATHS", 2)
    with pytest.raises(RunError, match=r"workers died 2 times on every machine of the Ray cluster \(.+\); expected"):
        list(compute(unable, None, [["a"]]))


def test_nothing_to_compute(cluster: Any) -> None:
    assert list(compute(unable, None, [])) == []
