"""What a row of scores holds, and how rows are computed on this machine."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.inputs import Input
from finetune.errors import UsageError
from finetune.networks.layers import Shape
from finetune.prediction import Features, LayerOutput, Prediction
from finetune.scoring.score_options import FeatureType, ScoreOptions

ScoreRow = Prediction | Features[dict[str, LayerOutput]]


def compute_rows(
    classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions
) -> Generator[ScoreRow, None, None]:
    """Yield one row for each input, in order, from `Classifier.predict` or `Classifier.features`; also for a folder.

    Every `batch_size` consecutive inputs are computed as one batch, so that a run that is resumed after whole batches
    gives the same bits.
    """
    if options.features:
        yield from classifier.features(inputs, options.features, options.batch_size, folders=False, pool=options.pool)
    else:
        yield from classifier.predict(
            inputs,
            min(options.top, len(classifier.class_names)),
            options.batch_size,
            folders=False,
            ten_crop=options.ten_crop,
            abstain_below=options.abstain_below,
        )


def layer_values(rows: Sequence[ScoreRow], layer: str, shape: Shape, dtype: FeatureType) -> Iterator[NDArray[Any]]:
    """Yield a layer's output of each row, of `shape`; NaN for an image that was not read.

    Raises UsageError for a value that `dtype` cannot hold.
    """
    stored = np.dtype(dtype).newbyteorder("<")
    largest = np.finfo(dtype).max
    unread = np.full(shape, np.nan, stored)
    for row in rows:
        if isinstance(row, Prediction) or row.values is None:
            yield unread
            continue
        values = row.values[layer]
        if dtype == "float16" and np.abs(values).max() > largest:
            raise UsageError(
                f"--dtype float16 holds numbers up to {largest:,.0f}, but {layer} of {row.path} reaches "
                f"{np.abs(values).max():,.0f}; use --dtype float32"
            )
        yield values.astype(stored, copy=False)
