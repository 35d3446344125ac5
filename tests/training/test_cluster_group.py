"""Workers on a Ray cluster."""

from pathlib import Path

import pytest
from support.ray_machines import run_in_own_process

from finetune.errors import RunError, UsageError
from finetune.training.cluster_group import places


@pytest.mark.tensorflow
@pytest.mark.slow
def test_on_a_cluster() -> None:
    run_in_own_process(Path(__file__).with_name("ray_head.py"), 1)


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ((0, 0), [0, 1, 0, 1, 0]),
        ((0, 3, 2), [1, 2, 1, 2, 1]),
        ((8, 0.5), [0, 0, 0, 0, 0]),
    ],
)
def test_machines_of_workers(gpus: tuple[float, ...], expected: list[int]) -> None:
    """A machine without a GPU has none if another one has GPUs."""
    found = [{"NodeID": place, "Resources": {"CPU": 4, "GPU": number}} for place, number in enumerate(gpus)]
    assert [machine["NodeID"] for machine in places(found, 5)] == expected


def test_more_workers_than_gpus_of_the_cluster() -> None:
    found = [{"Resources": {"CPU": 4, "GPU": 2}}, {"Resources": {"CPU": 4}}]
    with pytest.raises(UsageError, match="--workers 3: expected at most 2, the GPUs of the Ray cluster"):
        places(found, 3)


def test_no_machine_is_left() -> None:
    with pytest.raises(RunError, match="no machine of the Ray cluster is left; start one and continue with --resume"):
        places([], 2)
