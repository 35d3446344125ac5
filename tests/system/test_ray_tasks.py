"""Batches on their way to workers that may die."""

import pickle

import pytest

from finetune.errors import DataError, RunError
from finetune.system.ray_tasks import Task, Tasks


def test_a_batch_that_ends_workers_is_divided() -> None:
    """Tried twice whole, then each item alone; the one that ends a third worker is missing when it is sent again."""
    whole = Task(0, ["a", "b", "c"])
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
    whole = Task(0, ["a"])
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


def begin(tasks: Tasks, count: int) -> list[Task]:
    """Return the next tasks, as many as may be begun before the first is answered."""
    begun = [task for _ in range(count + 1) if (task := tasks.next(count))]
    assert len(begun) == count
    return begun


def test_answers_come_in_the_order_of_the_batches() -> None:
    """Also if a later one is computed first; an error is raised when it is its turn."""
    tasks = Tasks([["a"], ["b"], ["c"], ["d"]])
    first, second, third = begin(tasks, 3)
    tasks.finish(third, DataError("c is damaged"))
    tasks.finish(second, "B")
    assert list(tasks.answers()) == []
    tasks.finish(first, "A")
    answers = tasks.answers()
    assert [next(answers).result, next(answers).result] == ["A", "B"]
    assert not tasks.all_answered
    with pytest.raises(DataError, match="c is damaged"):
        next(answers)


def test_what_died_is_computed_before_a_new_batch() -> None:
    tasks = Tasks([["a"], ["b"], ["c"]])
    first, second = begin(tasks, 2)
    tasks.finish(first, "A")
    assert list(tasks.answers()) == [("A", ())]
    tasks.send_again(second.after_death())
    assert begin(tasks, 1) == [second]
    tasks.put_back(second)
    assert begin(tasks, 1) == [second]
    tasks.finish(second, "B")
    assert list(tasks.answers()) == [("B", ())]
    assert [task.items for task in begin(tasks, 1)] == [["c"]]
    assert not tasks.all_answered
