"""What a row of scores holds, and how rows are computed on this machine."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from finetune.classifier import Classifier, Features, Pool, Prediction
from finetune.data.inputs import Input
from finetune.errors import UsageError

ScoreRow = Prediction | Features


@dataclass(frozen=True)
class ScoreOptions:
    """The options of `finetune score` that its rows depend on, under the same names.

    `features`: the layer whose output is written instead of predictions; `pool`: "mean" averages the maps of a
    convolution. `probabilities` adds those of all classes to the `top` ones. A prediction less probable than
    `abstain_below` is marked; 0 marks none.
    """

    top: int = 5
    probabilities: bool = False
    features: str | None = None
    pool: Pool = "none"
    ten_crop: bool = False
    abstain_below: float = 0.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("top", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {getattr(self, name)}")
        if not 0 <= self.abstain_below <= 1:
            raise UsageError(f"--abstain-below must lie between 0 and 1, not {self.abstain_below}")
        if self.features is None and self.pool != "none":
            raise UsageError("--pool is only for --features LAYER; omit it")
        for name in ("probabilities", "ten_crop", "abstain_below"):
            if self.features is not None and getattr(self, name):
                raise UsageError(f"--features writes no classes; omit --{name.replace('_', '-')}")


def compute_rows(
    classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions
) -> Generator[ScoreRow, None, None]:
    """Yield one row for each input, in order, from `Classifier.predict` or `Classifier.features`.

    Every `batch_size` consecutive inputs are computed as one batch, so that a run that is resumed after whole batches
    gives the same bits.
    """
    if options.features is not None:
        yield from classifier.features(inputs, options.features, options.batch_size, pool=options.pool)
    else:
        yield from classifier.predict(
            inputs,
            min(options.top, len(classifier.class_names)),
            options.batch_size,
            ten_crop=options.ten_crop,
            abstain_below=options.abstain_below,
        )
