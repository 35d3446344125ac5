"""The features after several layers at once: every image is decoded once, and passes through each layer once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Precision
from finetune.data.dataset import Record
from finetune.networks.compiled import BATCH_SIZE, prepare
from finetune.networks.forward import forward
from finetune.networks.initialize import Arrays
from finetune.networks.layers import Layer
from finetune.training.features import Trunk, View, open_stores
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore, Key, StoredRows

Floats32 = NDArray[np.float32]

IN_USE = View(0, "float32")  # validation images, as any image that is classified


def probe_views(plan: Plan) -> tuple[View, ...]:
    """Return the views that a probe is fitted on: the image, and its mirror image."""
    return View(0, plan.precision), View(1, plan.precision)


class LayerFeatures:
    """The features of images after each of some layers, ready to be read until the stores close."""

    def __init__(self, trunk: Trunk, stores: dict[str, FeatureStore], unreadable: dict[Path, str]) -> None:
        self._trunk, self._stores = trunk, stores
        self.unreadable = unreadable

    def rows(self, layer: str, records: Sequence[Record], views: Sequence[View]) -> StoredRows:
        """Return the features after a layer, the views of an image next to each other."""
        return self._stores[layer].rows([self._trunk.key(record.digest, view) for record in records for view in views])


@contextmanager
def layer_features(
    plan: Plan, layers: Sequence[str], wanted: dict[Record, tuple[View, ...]]
) -> Iterator[LayerFeatures]:
    """Yield the features of the wanted views after each of `layers`, in forward order; only dense ones are between.

    What is missing in the cache is computed, and stays there for the next training.
    """
    cuts = [replace(plan, network=plan.network.cut(layer)) for layer in layers]
    trunks = [Trunk(cut) for cut in cuts]
    before = [cut.network.split(cut.trained)[0] for cut in cuts]
    tails = [_tail(longer[len(shorter) :], plan.weights, plan.precision) for shorter, longer in pairwise(before)]
    with open_stores(trunks, plan.config.cache) as stores:
        unreadable = trunks[0].compute(wanted, _Stores(stores, tails))
        yield LayerFeatures(trunks[0], dict(zip(layers, stores, strict=True)), unreadable)


def _tail(layers: Sequence[Layer], weights: Arrays, precision: Precision) -> Callable[[Floats32], Floats32]:
    """Return a function that passes BATCH_SIZE rows through `layers`, to the same bits as `Compiled`."""
    constants = prepare(layers, weights, precision)
    compute = tf.function(lambda x: tf.cast(forward(layers, constants, tf.cast(x, precision), many=True), tf.float32))
    return lambda rows: compute(tf.constant(rows)).numpy()


class _Stores:
    """The stores of all cuts as one, the deepest first: a row enters the first, and through tails the others."""

    def __init__(self, stores: Sequence[FeatureStore], tails: Sequence[Callable[[Floats32], Floats32]]) -> None:
        self._stores = stores
        self._tails = tails

    def __contains__(self, key: Key) -> bool:
        return all(key in store for store in self._stores)

    def keep(self, keys: Sequence[Key], rows: Floats32) -> None:
        rows = np.concatenate([rows, np.zeros((BATCH_SIZE - len(rows), *rows.shape[1:]), rows.dtype)])
        for store, tail in zip(self._stores, [None, *self._tails], strict=True):
            rows = tail(rows) if tail else rows
            store.keep(keys, rows[: len(keys)])

    def flush(self) -> None:
        for store in self._stores:
            store.flush()
