"""Batches on their way to workers, any of which may die: what is sent next, and the answers in order."""

import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from finetune.errors import FinetuneError, RunError

TRIES_OF_BATCH = 2  # then each of its items is tried alone, and one that ends a third worker is set aside
SET_ASIDE = "not computed: three workers that tried it were killed; it may need more memory than they have"


class Computed(NamedTuple):
    """The result for the items of a batch, but for those at the positions in `lost`, which were set aside."""

    result: Any
    lost: tuple[int, ...]


@dataclass
class Task:
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
    whole: "Task | None" = None
    position: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may end a worker: then nothing is sent after it, whose result could be lost with the worker."""
        return self.deaths > 0 or self.whole is not None

    def to_send(self) -> bytes:
        """Return the items that are not set aside, pickled."""
        return pickle.dumps([item for position, item in enumerate(self.items) if position not in self.lost])

    def after_death(self) -> list["Task"]:
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
        return [Task(self.number, [item], whole=self, position=place) for place, item in enumerate(self.items)]

    def after_trial(self) -> list["Task"]:
        """Return the batch, one more of whose items was tried alone, once that holds for all of them."""
        self.untried -= 1
        self.deaths = 0
        return [] if self.untried else [self]


class Tasks:
    """The tasks of a job: `next` gives one to compute, and `answers` the results in the order of the batches."""

    def __init__(self, batches: Iterable[Sequence[Any]]) -> None:
        self._new = (Task(number, batch) for number, batch in enumerate(batches))
        self._again: deque[Task] = deque()
        self._answers: dict[int, Computed] = {}
        self._begun = self._yielded = 0

    @property
    def all_answered(self) -> bool:
        """Whether there is an answer to each batch that has begun: at the end, `next` begins no other."""
        return self._yielded == self._begun

    def next(self, look_ahead: int) -> Task | None:
        """Return a task, but none that begins a batch as long as `look_ahead` of them are not answered."""
        if self._again:
            return self._again.popleft()
        if self._begun - self._yielded >= look_ahead:
            return None
        task = next(self._new, None)
        self._begun += task is not None
        return task

    def put_back(self, task: Task) -> None:
        """Make this the next task."""
        self._again.appendleft(task)

    def send_again(self, tasks: Iterable[Task]) -> None:
        """Compute these before any new ones."""
        self._again.extend(tasks)

    def finish(self, task: Task, result: Any) -> None:
        """Take the result of a task; that of an item that was tried alone only shows that it can be computed."""
        if task.whole:
            self._again.extend(task.whole.after_trial())
        else:
            self._answers[task.number] = Computed(result, tuple(sorted(task.lost)))

    def answers(self) -> Iterator[Computed]:
        """Yield the answers whose turn it is; raise a FinetuneError in its turn, as it comes on one machine."""
        while answer := self._answers.pop(self._yielded, None):
            if isinstance(answer.result, FinetuneError):
                raise answer.result
            yield answer
            self._yielded += 1
