"""The frozen part of the network, computed once for every view of every image."""

import gc
import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby, islice, product
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.augment import augmented_input, view_generator
from finetune.data.channels import Image
from finetune.data.dataset import Record
from finetune.data.decode import decode, warn_if_doubtful, warn_of_dim_images
from finetune.data.images import read_bytes
from finetune.errors import ImageError, RunError
from finetune.networks.compiled import BATCH_SIZE, Compiled
from finetune.system.digest import sha256
from finetune.system.parallel import parallel_map
from finetune.system.progress import track
from finetune.system.ray_tasks import SET_ASIDE
from finetune.system.ray_workers import ClusterWorkers
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore, Key, cache_folder, remove_unused

logger = logging.getLogger(__name__)

FORMAT = 7  # counts up when the same input gives other features, so that no older store is used
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float32")  # in the order of computing


class View(NamedTuple):
    """How an image goes through the trunk: view 0 is the image as it is in use, others are augmented."""

    number: int
    precision: Precision


class Row(NamedTuple):
    """One row of features: what it is stored under, and which view of which image it is of."""

    key: Key
    record: Record
    view: int


class FeatureBatch(NamedTuple):
    """Rows that go through the trunk together, at most BATCH_SIZE."""

    precision: Precision
    rows: tuple[Row, ...]


class RowSink(Protocol):
    """Where features go: a store, or several as one."""

    def __contains__(self, key: Key) -> bool: ...

    def keep(self, keys: Sequence[Key], rows: NDArray[Any]) -> None:
        """Keep those rows of a batch that it lacks."""

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
        self._engine = plan.engine
        self._on_gpus = plan.workers == 1  # several that train have the cluster's GPUs to themselves
        self._functions: dict[Precision, Compiled] = {}
        self._workers: ClusterWorkers | None = None
        described = [FORMAT, plan.source.sha256, repr(self._layers), self._preprocessing.to_json()]
        self._name = sha256(json.dumps(described).encode())[:32]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_functions": {}, "_workers": None}  # another process compiles its own

    @contextmanager
    def open_store(self, cache: bool = True) -> Iterator[FeatureStore]:
        """Yield the store of this trunk's features, as `open_stores`."""
        with open_stores([self], cache) as (store,):
            yield store

    def cached_store(self) -> FeatureStore | None:
        """Return the store in the user's cache, None without layers, or with a warning where that cannot be written.

        Network input is as quick to decode as to read, so without layers nothing goes to the cache.
        """
        if not self._layers:
            return None
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
        """Add to `store` the views of the records that it lacks; return the unreadable files with the reasons."""
        batches = self.missing(wanted, store)
        computed = {row.record.digest for batch in batches for row in batch.rows}
        done = len({record.digest for record in wanted} - computed)
        if self._engine == "ray":
            errors = self._compute_on_cluster(batches, store)
        else:
            errors = self.compute_batches(batches, store, done)
        return {record.path: errors[record.digest] for record in wanted if record.digest in errors}

    def missing(self, wanted: Mapping[Record, Iterable[View]], store: RowSink) -> list[FeatureBatch]:
        """Return the batches in which a wanted row is not in `store`.

        On some processors, the last bit of a row depends on its place in the batch. So what is wanted determines the
        batches, whatever is stored already, and a batch that misses a row is computed whole: a training that was killed
        computes the same bits as one that was not. Each split has batches of its own: validation images do not change
        what is trained. A row that is stored stays as it is. Images of the same bytes are one row.
        """
        rows: dict[Key, Row] = {}
        for record, views in wanted.items():
            for view in views:
                key = self.key(record.digest, view)
                rows.setdefault(key, Row(key, record, view.number))
        batches = []
        for precision, split in product(PRECISIONS, sorted({record.split for record in wanted})):
            own = (row for row in rows.values() if (row.key.precision, row.record.split) == (precision, split))
            while batch := tuple(islice(own, BATCH_SIZE)):
                batches.append(FeatureBatch(precision, batch))
        return [batch for batch in batches if any(row.key not in store for row in batch.rows)]

    def compute_batches(self, batches: Sequence[FeatureBatch], store: RowSink, done: int = 0) -> dict[str, str]:
        """Add the rows of some batches to `store`; return the digests of unreadable images with the reasons.

        `done`: how many images are stored already, for the progress.
        Every image is decoded once for all its views that follow each other, on all cores, while the trunk runs. What
        was computed stays in the store when this is interrupted.
        """
        errors: dict[str, str] = {}
        try:
            for keys, rows in self.computed(batches, errors, done):
                store.keep(keys, rows)
        finally:
            store.flush()
        return errors

    def computed(
        self, batches: Sequence[FeatureBatch], errors: dict[str, str], done: int = 0
    ) -> Iterator[tuple[tuple[Key, ...], NDArray[Any]]]:
        """Yield the readable rows of each batch with their keys; digests of unreadable images go to `errors`."""
        rows = [row for batch in batches for row in batch.rows]
        inputs = self._inputs(rows, errors, done)
        for batch in batches:
            readable = [(row.key, pixels) for row, pixels in islice(inputs, len(batch.rows)) if pixels is not None]
            if readable:
                keys, pixels = zip(*readable, strict=True)
                yield keys, self._output(batch.precision, np.stack(pixels))

    def _compute_on_cluster(self, batches: Sequence[FeatureBatch], store: RowSink) -> dict[str, str]:
        """Do as `compute_batches`, on all machines of a cluster; an image that ends workers counts as unreadable."""
        errors: dict[str, str] = {}
        try:
            with self.workers() as workers:
                answers = workers.compute([_with_absolute_path(row) for row in batch.rows] for batch in batches)
                for batch, answer in track(zip(batches, answers, strict=True), len(batches), "features", "batches"):
                    unreadable, computed = answer.result
                    errors |= unreadable
                    errors |= {batch.rows[place].record.digest: SET_ASIDE for place in answer.lost}
                    for keys, rows in computed:
                        store.keep(keys, rows)
        finally:
            store.flush()
            warn_of_dim_images()
        return errors

    @contextmanager
    def workers(self) -> Iterator[ClusterWorkers]:
        """Yield the workers of the cluster; they stay until this block ends, since they take seconds to start."""
        if self._workers:
            yield self._workers
            return
        with ClusterWorkers(TrunkWorker, self, self._on_gpus) as self._workers:
            try:
                yield self._workers
            finally:
                self._workers = None

    def _output(self, precision: Precision, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        return self._function(precision)(pixels) if self._layers else pixels

    def _function(self, precision: Precision) -> Compiled:
        """Return the layers ready to compute, in one precision at a time: each holds a copy of the weights."""
        if precision not in self._functions:
            if self._functions:
                self._functions.clear()
                gc.collect()  # a traced function and what it captures refer to each other
            self._functions[precision] = Compiled(self._layers, self._weights, self._preprocessing, precision)
        return self._functions[precision]

    def _inputs(self, rows: Iterable[Row], errors: dict[str, str], done: int) -> Iterator[tuple[Row, Image | None]]:
        """Yield every row with the network's input, or None for an unreadable image, which goes to `errors`."""
        images = [list(same) for _, same in groupby(rows, key=lambda row: row.record)]
        decoded = parallel_map(self._decode, images)
        for same, inputs in track(decoded, done + len(images), "features", "images", done):
            if isinstance(inputs, ImageError):
                errors[same[0].record.digest] = str(inputs)
                yield from ((row, None) for row in same)
            else:
                yield from zip(same, inputs, strict=True)

    def _decode(self, rows: list[Row]) -> tuple[list[Row], list[Image] | ImageError]:
        """Return rows of one image with the network's input for each, or the error that keeps it from being read."""
        record = rows[0].record
        try:
            decoded = decode(_unchanged(record), self._preprocessing.short_side)
        except ImageError as error:
            return rows, error
        warn_if_doubtful(record.path, decoded.damage, decoded.dim)
        views = (view_generator(record.digest, row.view) for row in rows)
        return rows, [augmented_input(decoded.image, self._preprocessing, view, self._augmentation) for view in views]


@contextmanager
def open_stores(trunks: Sequence[Trunk], cache: bool = True) -> Iterator[list[FeatureStore]]:
    """Yield the stores of these trunks' features: in the user's cache, or in a folder that exists for the block only.

    At the end, other stores in the cache are removed if all take too much; none of these, whatever they take.
    """
    with ExitStack() as folders:

        def temporary() -> FeatureStore:
            return FeatureStore(Path(folders.enter_context(tempfile.TemporaryDirectory(prefix="finetune-"))))

        cached = [trunk.cached_store() if cache else None for trunk in trunks]
        stores = [store or temporary() for store in cached]
        try:
            yield stores
        finally:
            for store in stores:
                store.close()
            if used := [store.folder for store in cached if store]:
                remove_unused(used)


class TrunkWorker:
    """Computes batches on a machine of a cluster, with its own copy of the trunk."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk

    def __call__(self, rows: list[Row]) -> tuple[dict[str, str], list[tuple[tuple[Key, ...], NDArray[Any]]]]:
        """Return the unreadable images of one batch with the reasons, and its readable rows with their keys."""
        errors: dict[str, str] = {}
        batches = [FeatureBatch(rows[0].key.precision, tuple(rows))] if rows else []
        return errors, list(self._trunk.computed(batches, errors))


def _with_absolute_path(row: Row) -> Row:
    """Return the row of an image whose path does not depend on the folder a worker runs in."""
    return row._replace(record=row.record._replace(path=row.record.path.absolute()))


def _unchanged(record: Record) -> bytes:
    """Return the image's bytes; raise RunError when they are not those that the split was made with."""
    try:
        data = read_bytes(record.path)
        change = "" if sha256(data) == record.digest else "has changed"
    except ImageError as error:
        change = str(error)
    if change:
        raise RunError(
            f"{record.path} {change} since training started; restore it and resume with --resume, or start a new run"
        )
    return data
