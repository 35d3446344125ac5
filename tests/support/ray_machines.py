"""Ray clusters for tests: two machines, both of them this one, in a process of their own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

MACHINE = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}


def run_in_own_process(file: Path, tests: int) -> None:
    """Run the tests of a file in its own process and session: Ray has been seen to kill the process that uses it."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "pytest", "-q", str(file)]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)
        if re.search(r"\d (passed|failed|error)", done.stdout):
            break
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"{tests} passed" in done.stdout


@contextmanager
def two_machines() -> Iterator[Any]:
    """Yield a Ray cluster of two machines with one CPU each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "disabled")  # otherwise Ray writes a token to the user's home
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # for workers, which import `support` too
        cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=MACHINE)
        cluster.add_node(**MACHINE)
        yield cluster
        cluster.shutdown()


def workers(cluster: Any, name: str = "ray::Worker") -> list[set[int]]:
    """Return the worker processes of a name on each machine."""
    import psutil  # Ray brings it

    found: list[set[int]] = []
    for machine in cluster.list_all_nodes():
        found.append(set())
        for child in psutil.Process(machine.all_processes["raylet"][0].process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has just ended
                found[-1] |= {child.pid} if name in "".join(child.cmdline()) else set()
    return found
