"""Rows computed by Ray on the machines of a cluster: the same batches as on this machine, so the same bits."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from finetune.classifier import Classifier
from finetune.data.images import path_or_url
from finetune.data.inputs import Input
from finetune.model import Model
from finetune.prediction import Features, Prediction
from finetune.scoring.rows import ScoreRow
from finetune.scoring.rows import compute_rows as compute_local_rows
from finetune.scoring.score_options import ScoreOptions
from finetune.system.ray_tasks import SET_ASIDE
from finetune.system.ray_workers import ClusterWorkers


def compute_rows(
    classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions
) -> Generator[ScoreRow, None, None]:
    """Yield one row for each input, in order, as the local function does; call it within `connected`.

    The files must have the same absolute path on every machine. An image that ends three workers has that as its error.
    Raises RunError if a worker fails, and whatever the local function raises.
    """
    sent: deque[list[Input]] = deque()

    def batches() -> Iterator[list[Input]]:
        remaining = iter(inputs)
        while batch := list(islice(remaining, options.batch_size)):
            sent.append(batch)
            yield [_absolute(name) for name in batch]

    with ClusterWorkers(_Scorer, (classifier.model, options)) as workers:
        for answer in workers.compute(batches()):
            rows = iter(answer.result)
            for position, name in enumerate(sent.popleft()):
                path = path_or_url(name)  # as given, not the absolute one
                if position in answer.lost:
                    yield Features(path, error=SET_ASIDE) if options.features else Prediction(path, error=SET_ASIDE)
                else:
                    yield replace(next(rows), path=path)


class _Scorer:
    """Computes batches as the local engine does, with its own copy of the model."""

    def __init__(self, shared: tuple[Model, ScoreOptions]) -> None:
        model, self._options = shared
        self._classifier = Classifier(model, many=True)

    def __call__(self, batch: list[Input]) -> list[ScoreRow]:
        return list(compute_local_rows(self._classifier, batch, self._options))


def _absolute(name: Input) -> Input:
    """Return a name that does not depend on the folder a worker runs in."""
    return name.absolute() if isinstance(name, Path) else name
