"""What a row is made of, and the one function that makes rows from pictures on this machine."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from finetune.classifier import Classifier, Features, Pool, Prediction
from finetune.data.inputs import Input
from finetune.errors import UsageError

Row = Prediction | Features


@dataclass(frozen=True)
class ScoreOptions:
    """The options of `finetune score` that its rows depend on, under the same names.

    `features`: the layer whose output is written instead of predictions; `pool`: "mean" takes the mean of a
    convolution's maps. `probabilities` adds those of all classes to the `top` ones. A first class less probable than
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
            raise UsageError("--pool is for --features LAYER; leave it out")
        for name in ("probabilities", "ten_crop", "abstain_below"):
            if self.features is not None and getattr(self, name):
                raise UsageError(f"--features writes no classes; leave --{name.replace('_', '-')} out")


def rows(classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions) -> Generator[Row, None, None]:
    """Yield one row for every input, in order: what `Classifier.predict` or `Classifier.features` gives.

    The inputs of one batch are `batch_size` that follow each other, so that a run that begins again after whole
    batches gives the same bits.
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
