"""The frozen part of the network, computed once for every view of every image."""

import gc
import hashlib
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.augment import LEVELS, Augmentation, augmented_input, view_generator
from finetune.data.channels import Image
from finetune.data.dataset import Record
from finetune.data.decode import decode, warn_of_damage
from finetune.data.images import read_bytes
from finetune.errors import ImageError, RunError
from finetune.networks.compiled import BATCH_SIZE, FEW, Compiled
from finetune.system.parallel import parallel_map
from finetune.system.progress import track
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore, Key, cache_folder, remove_unused

logger = logging.getLogger(__name__)

FORMAT = 3  # counts up when the same input gives other features, so that no older store is used
EXACT = -1  # a view: the picture as in use, in float32 whatever the trunk's precision; validation is judged by it


@dataclass(frozen=True)
class _Job:
    """One image, the views of it that are not stored yet, and what they were decoded to."""

    path: Path
    digest: str
    views: tuple[int, ...]
    inputs: tuple[Image, ...] = ()
    error: str | None = None


class Keeps(Protocol):
    """Where features go: a store, or several as one."""

    def __contains__(self, key: Key) -> bool: ...

    def add(self, key: Key, row: NDArray[Any]) -> None:
        """Keep a row."""

    def flush(self) -> None:
        """Let the rows be read."""


class Trunk:
    """The layers before the first trained one, ready to compute.

    What it gives is float32, or, where it has no layers, the network's input: uint8 with the mean still in.
    """

    def __init__(
        self, plan: Plan, precision: Precision = "float32", augmentation: Augmentation = LEVELS["light"]
    ) -> None:
        self._layers, _ = plan.network.split(plan.trained)
        self._preprocessing = plan.network.preprocessing
        self._augmentation = augmentation
        self._weights = plan.weights
        self._precision: Precision = precision if self._layers else "float32"
        self._functions: dict[Precision, Compiled] = {}
        described = [FORMAT, plan.source.sha256, repr(self._layers), self._preprocessing.to_json(), self._precision]
        self._name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]

    @contextmanager
    def open_store(self, cache: bool = True) -> Iterator[FeatureStore]:
        """Yield the store of this trunk's features: in the user's cache, or in a folder that goes with the block.

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
            logger.warning("the cache %s cannot be written (%s); going on without it", error.filename, error.strerror)
            return None

    def key(self, digest: str, view: int) -> Key:
        """Return what a view of the image with this digest is stored under.

        Views 0 and EXACT are the same for every augmentation, all others are not; of an augmentation that changes
        nothing, all others are view 0. So is EXACT where the trunk computes in float32 anyway.
        """
        if view == EXACT and self._precision != "float32":
            return digest, EXACT
        if not (view > 0 and self._augmentation.changes):
            return digest, 0
        if self._augmentation == LEVELS["light"]:  # was there before the others, so that older stores still serve
            return digest, view
        described = json.dumps([self._augmentation.to_json(), view])
        return digest, int.from_bytes(hashlib.sha256(described.encode()).digest()[:7])  # fits into 64 bits with sign

    def compute(self, wanted: Mapping[Record, Iterable[int]], store: Keeps) -> dict[Path, str]:
        """Add to `store` the views of the records that it lacks; return the unreadable files with the reasons.

        Every image is decoded once for all its views, on all cores, while the trunk runs over batches of 32; images
        of the same bytes are computed once, exact views after all others. What was computed stays in the store when
        this is interrupted.
        """
        errors: dict[str, str] = {}
        try:
            for precision in dict.fromkeys((self._precision, "float32")):
                self._compute(self._missing(wanted, precision, store), precision, store, errors)
        finally:
            store.flush()
        return {record.path: errors[record.digest] for record in wanted if record.digest in errors}

    def _missing(self, wanted: Mapping[Record, Iterable[int]], precision: str, store: Keeps) -> list[_Job]:
        """Return what is to be computed in one precision."""
        jobs: dict[str, _Job] = {}
        for record, views in wanted.items():
            keys = {self.key(record.digest, view): view for view in views}
            missing = tuple(
                view
                for key, view in keys.items()
                if key not in store and precision == ("float32" if view == EXACT else self._precision)
            )
            if missing and (record.digest not in jobs or len(missing) > len(jobs[record.digest].views)):
                jobs[record.digest] = _Job(record.path, record.digest, missing)
        return list(jobs.values())

    def _compute(self, jobs: Sequence[_Job], precision: Precision, store: Keeps, errors: dict[str, str]) -> None:
        total = sum(len(job.views) for job in jobs)
        for batch in _batches(track(self._inputs(jobs, errors), total, "features", "images"), BATCH_SIZE):
            pixels = np.stack([pixels for _, pixels in batch])
            rows = self._function(precision)(pixels, many=total > FEW) if self._layers else pixels
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

    def _inputs(self, jobs: Iterable[_Job], errors: dict[str, str]) -> Iterator[tuple[Key, Image]]:
        """Yield key and network input of every view; what cannot be read goes to `errors` by digest."""
        for job in parallel_map(self._decode, jobs):
            if job.error is not None:
                errors[job.digest] = job.error
            for view, pixels in zip(job.views, job.inputs, strict=False):
                yield self.key(job.digest, view), pixels

    def _decode(self, job: _Job) -> _Job:
        try:
            image, damage = decode(_unchanged(job), self._preprocessing.short_side)
        except ImageError as error:
            return _Job(job.path, job.digest, (), error=str(error))
        if damage:
            warn_of_damage(job.path, damage)
        inputs = tuple(
            augmented_input(image, self._preprocessing, view_generator(job.digest, max(view, 0)), self._augmentation)
            for view in job.views
        )
        return _Job(job.path, job.digest, job.views, inputs)


def _unchanged(job: _Job) -> bytes:
    """Return the image's bytes; raise RunError when they are not those that the split was made with."""
    try:
        data = read_bytes(job.path)
        change = "" if hashlib.sha256(data).hexdigest() == job.digest else "has changed"
    except ImageError as error:
        change = str(error)
    if change:
        raise RunError(
            f"{job.path} {change} since training began; put back what it was and go on with --resume, "
            "or start a new run"
        )
    return data


def _batches(items: Iterator[tuple[Key, Image]], size: int) -> Iterator[list[tuple[Key, Image]]]:
    """Yield lists of `size` items; the last may be shorter."""
    while batch := list(islice(items, size)):
        yield batch
