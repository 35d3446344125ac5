"""What a row of scores holds, and how rows are computed on this machine."""

from collections.abc import Generator, Iterable

from finetune.classifier import Classifier
from finetune.data.inputs import Input
from finetune.prediction import Features, Prediction
from finetune.scoring.score_options import ScoreOptions

ScoreRow = Prediction | Features


def compute_rows(
    classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions
) -> Generator[ScoreRow, None, None]:
    """Yield one row for each input, in order, from `Classifier.predict` or `Classifier.features`; also for a folder.

    Every `batch_size` consecutive inputs are computed as one batch, so that a run that is resumed after whole batches
    gives the same bits.
    """
    if options.features is not None:
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
