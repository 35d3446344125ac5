"""Batches on the machines of a Ray cluster."""

import pickle
from pathlib import Path

import pytest
from support.ray_machines import run_in_own_process

from finetune.errors import RunError
from finetune.system.ray_workers import _Task


@pytest.mark.tensorflow
@pytest.mark.slow
def test_on_a_cluster() -> None:
    run_in_own_process(Path(__file__).with_name("ray_jobs.py"), 5)


def test_a_batch_that_ends_workers_is_divided() -> None:
    """Tried twice whole, then each item alone; the one that ends a third worker is missing when it is sent again."""
    whole = _Task(0, ["a", "b", "c"])
    assert whole.after_death() == [whole]
    alone = whole.after_death()
    assert [pickle.loads(task.to_send()) for task in alone] == [["a"], ["b"], ["c"]]
    assert all(task.is_suspect for task in alone)
    assert whole.after_trial() == []
    assert alone[1].after_death() == []
    assert whole.after_trial() == [whole]
    assert pickle.loads(whole.to_send()) == ["a", "c"]
    assert whole.lost == [1]


def test_a_batch_whose_items_end_no_worker_alone() -> None:
    """It gets another two tries, in case that something else ended the workers; then it must be too large."""
    whole = _Task(0, ["a"])
    whole.after_death()
    whole.after_death()
    assert whole.after_trial() == [whole]
    assert not whole.is_suspect
    assert whole.after_death() == [whole]
    with pytest.raises(RunError) as error:
        whole.after_death()
    assert str(error.value) == (
        "workers die with a batch, but not with its images alone; expected machines with more memory; fix that and "
        "continue with --resume"
    )
