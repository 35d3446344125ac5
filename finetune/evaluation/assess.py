"""`assess`: from logits and labels to every metric of a model, and the images it gets most wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Kept
from finetune.data.dataset import Skipped
from finetune.errors import WeightsError
from finetune.metrics import (
    Bin,
    ClassMetrics,
    Interval,
    calibration_error,
    calibration_floor,
    confusion_matrix,
    log_loss,
    per_class,
    ranks,
    reliability,
    softmax,
    wilson_interval,
)
from finetune.runs.overlap import Overlap

LabelledPaths = list[tuple[Path, int]]  # images with the index of their class in the model

SHOWN = 12  # how many of the most wrong and of the least certain images are listed


@dataclass(frozen=True)
class ImageResult:
    """One image: its true class, the predicted one, and the probability that the model gives to each."""

    path: Path
    true: str
    predicted: str
    probability: float
    true_probability: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields with the path as a string."""
        return {**vars(self), "path": str(self.path)}


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on labelled images; all fractions are of the images that could be read.

    `top1_interval`, `top5_interval`: Wilson's, 95 %. `confusion`: images by true class (rows) and predicted class
    (columns), both in the order of `class_names`. `before`, `after`: reliability bins without and with the model's
    `temperature`; `loss_before`, `loss_after`: the mean negative log-likelihood in nats. `ece_floor`: what a perfectly
    calibrated model with the same probabilities, temperature applied, shows as `ece_after`. `most_wrong`: wrong images
    whose true class has the lowest probability, the worst first. `least_certain`: images whose predicted class has the
    lowest. `overlap`: how many of the images training used, None if unknown. `kept`: which model of its training it
    is; the best is that of the epoch which was the best on the validation images.
    """

    class_names: tuple[str, ...]
    images: int
    top1: float
    top5: float
    top1_interval: Interval
    top5_interval: Interval
    per_class: tuple[ClassMetrics, ...]
    confusion: NDArray[np.int64]
    temperature: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    loss_before: float
    loss_after: float
    ece_floor: float
    most_wrong: tuple[ImageResult, ...]
    least_certain: tuple[ImageResult, ...]
    unreadable: tuple[Skipped, ...]
    overlap: Overlap | None = None
    kept: Kept = "last"

    @property
    def ece_before(self) -> float:
        """The expected calibration error without the temperature."""
        return calibration_error(self.before)

    @property
    def ece_after(self) -> float:
        """The expected calibration error with the temperature, which `predict` applies."""
        return calibration_error(self.after)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        classes = zip(self.class_names, self.per_class, strict=True)
        return {
            "images": self.images,
            **(self.overlap._asdict() if self.overlap else dict.fromkeys(Overlap._fields)),
            "kept": self.kept,
            "top1": self.top1,
            "top5": self.top5,
            "intervals": {"top1": list(self.top1_interval), "top5": list(self.top5_interval)},
            "temperature": self.temperature,
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
            "ece_floor": self.ece_floor,
            "loss_before": self.loss_before,
            "loss_after": self.loss_after,
            "per_class": [{"label": name, **metrics._asdict()} for name, metrics in classes],
            "confusion": self.confusion.tolist(),
            "reliability_before": [bin._asdict() for bin in self.before],
            "reliability_after": [bin._asdict() for bin in self.after],
            "most_wrong": [result.to_json() for result in self.most_wrong],
            "least_certain": [result.to_json() for result in self.least_certain],
            "unreadable": [{"path": str(path), "error": reason} for path, reason in self.unreadable],
        }


def assess(
    labelled: LabelledPaths,
    logits: NDArray[np.float32],
    class_names: tuple[str, ...],
    temperature: float,
    unreadable: Sequence[Skipped] = (),
) -> Evaluation:
    """Return the metrics of a model from its logits (images, classes) for labelled images, at least one.

    Raises WeightsError when a logit is not finite.
    """
    _check_finite(labelled, logits)
    labels = np.array([label for _, label in labelled], np.int64)
    probabilities = softmax(logits, temperature)
    places = ranks(logits, labels)
    top1, top5 = places < 1, places < 5
    confusion = confusion_matrix(labels, logits.argmax(axis=1), len(class_names))
    true = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    # Classes may share a name (ImageNet has two called crane), so `top1` decides which images are wrong.
    most_wrong = [number for number in np.argsort(true, kind="stable") if not top1[number]][:SHOWN]
    least_certain = np.argsort(probabilities.max(axis=1), kind="stable")[:SHOWN]
    return Evaluation(
        class_names=class_names,
        images=len(labels),
        top1=float(top1.mean()),
        top5=float(top5.mean()),
        top1_interval=wilson_interval(int(top1.sum()), len(labels)),
        top5_interval=wilson_interval(int(top5.sum()), len(labels)),
        per_class=per_class(confusion),
        confusion=confusion,
        temperature=temperature,
        before=reliability(softmax(logits), labels),
        after=reliability(probabilities, labels),
        loss_before=log_loss(logits, labels),
        loss_after=log_loss(logits, labels, temperature),
        ece_floor=calibration_floor(probabilities),
        most_wrong=_results(most_wrong, labelled, logits, probabilities, class_names),
        least_certain=_results(least_certain, labelled, logits, probabilities, class_names),
        unreadable=tuple(unreadable),
    )


def _check_finite(labelled: LabelledPaths, logits: NDArray[np.float32]) -> None:
    """Raise WeightsError, naming the first image, when a logit is not finite."""
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        path, _ = labelled[int(np.argmin(finite))]
        raise WeightsError(f"the model's output for {path} is not finite: its weights are damaged; train again")


def _results(
    numbers: Iterable[int],
    labelled: LabelledPaths,
    logits: NDArray[np.float32],
    probabilities: NDArray[np.float64],
    class_names: tuple[str, ...],
) -> tuple[ImageResult, ...]:
    """Return the results of the images with these numbers."""
    found = []
    for number in numbers:
        path, label = labelled[number]
        predicted = class_names[logits[number].argmax()]
        own = probabilities[number]
        found.append(ImageResult(path, class_names[label], predicted, float(own.max()), float(own[label])))
    return tuple(found)
