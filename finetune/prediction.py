"""What a model finds in one image: a `Prediction`, or the `Features` of a layer; or why the image cannot be read."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from finetune.errors import ImageError, WeightsError
from finetune.metrics import softmax

PathOrUrl = Path | str | None  # of an image; None for an array or a PIL image
LayerOutput = NDArray[np.float32]  # of one image: (units,) or (height, width, channels)
LayerValues = TypeVar("LayerValues", LayerOutput, dict[str, LayerOutput])


@dataclass(frozen=True)
class Score:
    """One class with its probability; `index` is its position in `class_names`."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """The predicted classes of one image, or the error that kept it from being read.

    `path`: the path or URL; None for an array or a PIL image. `scores`: the most probable classes first. `abstained`:
    the first of them is less probable than the threshold asked for. `probabilities`: float64 (classes,), in the order
    of `class_names`.
    """

    path: PathOrUrl
    scores: tuple[Score, ...] = ()
    error: str | None = None
    abstained: bool = False
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name of the most probable class; raises ImageError if the image was not read."""
        return self._best.label

    @property
    def probability(self) -> float:
        """The probability of the most probable class, 0 to 1; raises ImageError if the image was not read."""
        return self._best.probability

    @property
    def _best(self) -> Score:
        # None instead of an error would be compared, counted or written to a file as if it were a class.
        if not self.scores:
            reason = self.error or "no classes were asked for"
            raise ImageError(f"{self.path or 'the image'} has no label ({reason}); check prediction.error first")
        return self.scores[0]

    def to_json(self) -> dict[str, Any]:
        """Return the row that `--json` prints: path and predictions, or path and error."""
        path = None if self.path is None else str(self.path)
        if self.error is not None:
            return {"path": path, "error": self.error}
        abstained = {"abstained": True} if self.abstained else {}
        return {"path": path, "predictions": [asdict(score) for score in self.scores], **abstained}


def prediction_of(
    path: PathOrUrl,
    logits: LayerOutput | ImageError,
    class_names: Sequence[str],
    temperature: float,
    top: int,
    abstain_below: float = 0.0,
) -> Prediction:
    """Return the prediction that logits (classes,), or (10, classes) for ten crops, stand for.

    Raises WeightsError if they are not finite.
    """
    if isinstance(logits, ImageError):
        return Prediction(path, error=str(logits))
    if not np.isfinite(logits).all():
        raise WeightsError(
            f"the model's output for {path or 'an image'} is not finite: its weights are damaged; get another file"
        )
    probabilities = softmax(np.atleast_2d(logits), temperature).mean(axis=0)
    best = np.argsort(-probabilities, kind="stable")[:top]
    scores = tuple(Score(int(i), class_names[i], float(probabilities[i])) for i in best)
    abstained = bool(probabilities.max() < abstain_below)
    return Prediction(path, scores, abstained=abstained, probabilities=probabilities)


@dataclass(frozen=True)
class Features(Generic[LayerValues]):
    """The output of one layer for one image, float32, or of several by name, or the error that kept it from being read.

    `path`: the path or URL; None for an array or a PIL image.
    """

    path: PathOrUrl
    values: LayerValues | None = field(default=None, compare=False)
    error: str | None = None
