"""The features before several layers at once: every image is decoded once, and passes through each layer once."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
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
from finetune.training.features import Trunk, View
from finetune.training.plan import Plan
from finetune.training.store import FeatureStore, Key

Floats32 = NDArray[np.float32]


def cut_features(
    plan: Plan, skips: Sequence[tuple[str, ...]], records: Sequence[Record]
) -> tuple[list[Floats32], dict[Path, str]]:
    """Return the features (images, values) that the head would get with each of `skips`, and the unreadable files.

    `skips` goes from few to many layers, the layers between two cuts are fully connected, and `plan` has weights for
    all layers before the first cut. Images are as in use, without augmentation; unreadable ones have no row, and if all
    are unreadable there are no features. The features stay in the cache for a training with any of `skips`.
    """
    view = View(0, plan.precision)
    deepest_first = [replace(plan, config=replace(plan.config, skip=skip)) for skip in reversed(skips)]
    trunks = [Trunk(cut) for cut in deepest_first]
    layers = [plan.network.split(cut.skip)[0] for cut in deepest_first]
    tails = [_tail(longer[len(shorter) :], plan.weights, plan.precision) for shorter, longer in pairwise(layers)]
    with ExitStack() as open_stores:
        stores = [open_stores.enter_context(trunk.open_store(plan.config.cache)) for trunk in trunks]
        unreadable = trunks[0].compute(dict.fromkeys(records, (view,)), _Stores(stores, tails))
        keys = [trunks[0].key(record.digest, view) for record in records if record.path not in unreadable]
        every = np.arange(len(keys))
        features = [store.rows(keys)[every].reshape(len(keys), -1) for store in stores] if keys else []
    return features[::-1], unreadable


def _tail(layers: Sequence[Layer], weights: Arrays, precision: Precision) -> Callable[[Floats32], Floats32]:
    """Return a function that passes BATCH_SIZE rows through `layers`, to the same bits as `Compiled`."""
    constants = prepare(layers, weights, precision, many=True)
    compute = tf.function(lambda x: tf.cast(forward(layers, constants, tf.cast(x, precision), many=True), tf.float32))
    return lambda rows: compute(tf.constant(rows)).numpy()


class _Stores:
    """The stores of all cuts as one, the deepest first: a row enters the first, and through tails the others."""

    def __init__(self, stores: Sequence[FeatureStore], tails: Sequence[Callable[[Floats32], Floats32]]) -> None:
        self._stores = stores
        self._tails = tails
        self._waiting: dict[Key, Floats32] = {}

    def __contains__(self, key: Key) -> bool:
        return all(key in store for store in self._stores)

    def add(self, key: Key, row: Floats32) -> None:
        self._waiting[key] = row
        if len(self._waiting) == BATCH_SIZE:
            self._keep()

    def flush(self) -> None:
        if self._waiting:
            self._keep()
        for store in self._stores:
            store.flush()

    def _keep(self) -> None:
        rows = np.stack([*self._waiting.values()])
        rows = np.concatenate([rows, np.zeros((BATCH_SIZE - len(rows), *rows.shape[1:]), rows.dtype)])
        for store, tail in zip(self._stores, [None, *self._tails], strict=True):
            rows = tail(rows) if tail else rows
            for key, row in zip(self._waiting, rows, strict=False):  # rows that only fill the batch have no key
                if key not in store:
                    store.add(key, row)
        self._waiting.clear()
