"""The frozen part of the network, computed once for every view of every image."""

import gc
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.augment import augmented_input, view_generator
from finetune.data.channels import Image
from finetune.data.dataset import Record
from finetune.data.decode import decode, warn_of_damage
from finetune.data.images import read_bytes
from finetune.errors import ImageError, RunError
from finetune.networks.compiled import BATCH_SIZE, Compiled
from finetune.system.digest import sha256
from finetune.system.parallel import parallel_map
from finetune.system.progress import track
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore, Key, cache_folder, remove_unused

logger = logging.getLogger(__name__)

FORMAT = 5  # counts up when the same input gives other features, so that no older store is used


class View(NamedTuple):
    """How an image goes through the trunk: view 0 is the image as it is in use, others are augmented."""

    number: int
    precision: Precision


@dataclass(frozen=True)
class _Job:
    """One image, the numbers of its views that are not stored yet, and what they were decoded to."""

    path: Path
    digest: str
    views: tuple[int, ...]
    inputs: tuple[Image, ...] = ()
    error: str | None = None


class RowSink(Protocol):
    """Where features go: a store, or several as one."""

    def __contains__(self, key: Key) -> bool: ...

    def add(self, key: Key, row: NDArray[Any]) -> None:
        """Keep a row."""

    def flush(self) -> None:
        """Make the rows readable."""


class Trunk:
    """The layers before the first trained one, ready to compute.

    Its output is float32, or, where it has no layers, the network's input: uint8 with the mean still in.
    """

    def __init__(self, plan: Plan) -> None:
        self._layers, _ = plan.network.split(plan.trained)
        self._preprocessing = plan.network.preprocessing
        self._augmentation = plan.augmentation
        self._weights = plan.weights
        self._functions: dict[Precision, Compiled] = {}
        described = [FORMAT, plan.source.sha256, repr(self._layers), self._preprocessing.to_json()]
        self._name = sha256(json.dumps(described).encode())[:32]

    @contextmanager
    def open_store(self, cache: bool = True) -> Iterator[FeatureStore]:
        """Yield the store of this trunk's features: in the user's cache, or in a folder that exists for the block only.

        Network input is as quick to decode as to read, so without layers nothing goes to the cache; and nothing does
        where the cache cannot be written.
        """
        store = self._cached() if cache and self._layers else None
        if store:
            try:
                yield store
            finally:
                remove_unused(store.folder)
        else:
            with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
                yield FeatureStore(Path(folder))

    def _cached(self) -> FeatureStore | None:
        """Return the store in the user's cache, None with a warning where that cannot be written."""
        try:
            return FeatureStore(cache_folder() / self._name)
        except OSError as error:
            logger.warning("the cache %s cannot be written (%s); continuing without it", error.filename, error.strerror)
            return None

    def key(self, digest: str, view: View) -> Key:
        """Return what a view of the image with this digest is stored under.

        View 0 is the same for every augmentation, all others are not; of an augmentation that changes nothing, all are
        view 0. Without layers there is no arithmetic, so precision makes no difference.
        """
        precision = view.precision if self._layers else "float32"
        if view.number == 0 or not self._augmentation.changes:
            return Key(digest, 0, precision)
        described = json.dumps([self._augmentation.to_json(), view.number])
        return Key(digest, int(sha256(described.encode())[:14], 16), precision)  # 56 bits fit into a signed 64

    def compute(self, wanted: Mapping[Record, Iterable[View]], store: RowSink) -> dict[Path, str]:
        """Add to `store` the views of the records that it lacks; return the unreadable files with the reasons.

        Every image is decoded once for all its views of one precision, on all cores, while the trunk runs over batches
        of 32; images of the same bytes are computed once. What was computed stays in the store when this is
        interrupted.
        """
        errors: dict[str, str] = {}
        try:
            for precision in ("bfloat16", "float32"):
                self._compute(self._missing(wanted, precision, store), precision, store, errors)
        finally:
            store.flush()
        return {record.path: errors[record.digest] for record in wanted if record.digest in errors}

    def _missing(self, wanted: Mapping[Record, Iterable[View]], precision: Precision, store: RowSink) -> list[_Job]:
        """Return what is to be computed in one precision."""
        jobs: dict[str, _Job] = {}
        for record, views in wanted.items():
            keys = {self.key(record.digest, view): view.number for view in views}
            missing = tuple(view for key, view in keys.items() if key.precision == precision and key not in store)
            if missing and (record.digest not in jobs or len(missing) > len(jobs[record.digest].views)):
                jobs[record.digest] = _Job(record.path, record.digest, missing)
        return list(jobs.values())

    def _compute(self, jobs: Sequence[_Job], precision: Precision, store: RowSink, errors: dict[str, str]) -> None:
        total = sum(len(job.views) for job in jobs)
        inputs = track(self._inputs(jobs, precision, errors), total, "features", "images")
        while batch := list(islice(inputs, BATCH_SIZE)):
            pixels = np.stack([pixels for _, pixels in batch])
            rows = self._function(precision)(pixels) if self._layers else pixels
            for (key, _), row in zip(batch, rows, strict=True):
                store.add(key, row)

    def _function(self, precision: Precision) -> Compiled:
        """Return the layers ready to compute, in one precision at a time: each holds a copy of the weights."""
        if precision not in self._functions:
            if self._functions:
                self._functions.clear()
                gc.collect()  # a traced function and what it captures refer to each other
            self._functions[precision] = Compiled(self._layers, self._weights, self._preprocessing, precision)
        return self._functions[precision]

    def _inputs(
        self, jobs: Iterable[_Job], precision: Precision, errors: dict[str, str]
    ) -> Iterator[tuple[Key, Image]]:
        """Yield key and network input of every view; unreadable images go to `errors` by digest."""
        for job in parallel_map(self._decode, jobs):
            if job.error is not None:
                errors[job.digest] = job.error
            for number, pixels in zip(job.views, job.inputs, strict=False):
                yield self.key(job.digest, View(number, precision)), pixels

    def _decode(self, job: _Job) -> _Job:
        try:
            image, damage = decode(_unchanged(job), self._preprocessing.short_side)
        except ImageError as error:
            return _Job(job.path, job.digest, (), error=str(error))
        if damage:
            warn_of_damage(job.path, damage)
        inputs = tuple(
            augmented_input(image, self._preprocessing, view_generator(job.digest, number), self._augmentation)
            for number in job.views
        )
        return _Job(job.path, job.digest, job.views, inputs)


def _unchanged(job: _Job) -> bytes:
    """Return the image's bytes; raise RunError when they are not those that the split was made with."""
    try:
        data = read_bytes(job.path)
        change = "" if sha256(data) == job.digest else "has changed"
    except ImageError as error:
        change = str(error)
    if change:
        raise RunError(
            f"{job.path} {change} since training started; restore it and resume with --resume, or start a new run"
        )
    return data
