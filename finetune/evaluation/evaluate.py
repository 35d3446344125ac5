"""How good a run is, on its own validation images or on another folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.dataset import Skipped
from finetune.data.read_data import labelled_files
from finetune.errors import DataError, ImageError, RunError, WeightsError
from finetune.metrics import (
    Bin,
    ClassFigures,
    Interval,
    calibration_error,
    confusion_matrix,
    log_loss,
    per_class,
    ranks,
    reliability,
    softmax,
    wilson_interval,
)
from finetune.model import load_model
from finetune.runs.manifest import Seen, is_there, place, seen
from finetune.runs.read_run import read_dataset
from finetune.runs.run import MANIFEST, Run, open_run
from finetune.system.progress import track
from finetune.system.quiet import import_tensorflow
from finetune.system.text import did_you_mean

Labelled = list[tuple[Path, int]]  # images with the index of their class in the model

SHOWN = 12  # how many of the most wrong and of the least certain images are named


@dataclass(frozen=True)
class Judged:
    """One image: its true class, the predicted one, and the probabilities that the model gives to each."""

    path: Path
    true: str
    predicted: str
    probability: float
    true_probability: float

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON knows them."""
        return {**vars(self), "path": str(self.path)}


@dataclass(frozen=True)
class Evaluation:
    """What the model says of labelled images; all fractions are of the images that could be read.

    `top1_interval`, `top5_interval`: Wilson's, 95 %. `confusion`: images by true class (rows) and predicted class
    (columns), both as `class_names`. `before` and `after`: reliability bins without and with the model's
    `temperature`, and beside them the mean negative log-likelihood in nats. `most_wrong`: wrong ones whose true class
    got the least probability, the worst first. `least_certain`: those whose predicted class got the least. `seen`: how
    many of them the run has met in training, None where that is not known.
    """

    class_names: tuple[str, ...]
    images: int
    top1: float
    top5: float
    top1_interval: Interval
    top5_interval: Interval
    per_class: tuple[ClassFigures, ...]
    confusion: NDArray[np.int64]
    temperature: float
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    loss_before: float
    loss_after: float
    most_wrong: tuple[Judged, ...]
    least_certain: tuple[Judged, ...]
    unreadable: tuple[Skipped, ...]
    seen: Seen | None = None

    @property
    def ece_before(self) -> float:
        """The expected calibration error without the temperature."""
        return calibration_error(self.before)

    @property
    def ece_after(self) -> float:
        """The expected calibration error with the temperature, as `predict` gives probabilities."""
        return calibration_error(self.after)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON knows it."""
        classes = zip(self.class_names, self.per_class, strict=True)
        return {
            "images": self.images,
            **(self.seen._asdict() if self.seen else dict.fromkeys(Seen._fields)),
            "top1": self.top1,
            "top5": self.top5,
            "intervals": {"top1": list(self.top1_interval), "top5": list(self.top5_interval)},
            "temperature": self.temperature,
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
            "loss_before": self.loss_before,
            "loss_after": self.loss_after,
            "per_class": [{"label": name, **figures._asdict()} for name, figures in classes],
            "confusion": self.confusion.tolist(),
            "reliability_before": [bin._asdict() for bin in self.before],
            "reliability_after": [bin._asdict() for bin in self.after],
            "most_wrong": [judged.to_json() for judged in self.most_wrong],
            "least_certain": [judged.to_json() for judged in self.least_certain],
            "unreadable": [{"path": str(path), "error": reason} for path, reason in self.unreadable],
        }


def evaluate(run_path: Path, data: Path | None = None) -> Evaluation:
    """Judge the model of a run on its own validation images, or on `data`, any form that training takes.

    The classes are matched by name. `data` may hold some of the model's classes only; the model still chooses among
    all. Images that cannot be read are listed, and those that the run's manifest has too are counted. Raises RunError
    for what is no finished run, DataError when a class is unknown to the model or no image can be read.
    """
    run = open_run(run_path)
    classifier = Classifier(load_model(run.model))
    where = f"the validation images of {run_path}" if data is None else str(data)
    labelled = _own_images(run, classifier.class_names) if data is None else _images(data, classifier.class_names)
    import_tensorflow()  # now, so that the progress counts images only
    judged: Labelled = []
    rows: list[NDArray[np.float32]] = []
    unreadable: list[Skipped] = []
    answers = track(classifier.logits(path for path, _ in labelled), len(labelled), "evaluating", "images")
    for (path, label), (_, logits) in zip(labelled, answers, strict=True):
        if isinstance(logits, ImageError):
            unreadable.append(Skipped(path, str(logits)))
        else:
            judged.append((path, label))
            rows.append(logits)
    if not rows:
        raise DataError(f"no image of {where} can be read; {_cause(run, data, unreadable)}")
    evaluation = assess(judged, np.stack(rows), classifier.class_names, classifier.temperature, unreadable)
    return replace(evaluation, seen=seen(run, (path for path, _ in judged)))


def assess(
    labelled: Labelled,
    logits: NDArray[np.float32],
    class_names: tuple[str, ...],
    temperature: float,
    unreadable: Sequence[Skipped] = (),
) -> Evaluation:
    """Return the figures for images, of which there must be one, with their logits (images, classes).

    Raises WeightsError when a logit is not finite.
    """
    if not np.isfinite(logits).all():
        path, _ = labelled[int(np.argmin(np.isfinite(logits).all(axis=1)))]
        raise WeightsError(f"the model's output for {path} is not finite: its weights are damaged; train again")
    labels = np.array([label for _, label in labelled], np.int64)
    probabilities = softmax(logits, temperature)
    predicted, places = logits.argmax(axis=1), ranks(logits, labels)
    top1, top5 = places < 1, places < 5
    confusion = confusion_matrix(labels, predicted, len(class_names))
    every = np.arange(len(labels))
    confidence, true = probabilities.max(axis=1), probabilities[every, labels]

    def named(order: NDArray[np.int64]) -> tuple[Judged, ...]:
        return tuple(
            Judged(
                labelled[i][0],
                class_names[labels[i]],
                class_names[predicted[i]],
                float(confidence[i]),
                float(true[i]),
            )
            for i in order[:SHOWN]
        )

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
        most_wrong=named(every[~top1][np.argsort(true[~top1], kind="stable")]),
        least_certain=named(np.argsort(confidence, kind="stable")),
        unreadable=tuple(unreadable),
    )


def _own_images(run: Run, class_names: tuple[str, ...]) -> Labelled:
    """Return the validation images of the run's manifest."""
    dataset = read_dataset(run)
    if dataset.class_names != class_names:
        raise RunError(
            f"{run.path} has files of two runs: its model knows {_listed(class_names)}, "
            f"its images are of {_listed(dataset.class_names)}; train again"
        )
    validation = [record for record in dataset.records if record.split == "val"]
    return [(record.path, record.label) for record in place(run, validation)]


def _cause(run: Run, data: Path | None, unreadable: Sequence[Skipped]) -> str:
    """Return why no image can be read, for an error."""
    if data is None and unreadable and not any(path.is_absolute() or is_there(path) for path, _ in unreadable):
        return (
            f"the paths in {run.path / MANIFEST} are relative to the folder where train was called; run this from "
            "there, or name a folder of pictures with --data"
        )
    first = f"; the first: {unreadable[0].path}: {unreadable[0].reason}" if unreadable else ""
    return f"name a folder of pictures with --data{first}"


def _images(data: Path, class_names: tuple[str, ...]) -> Labelled:
    """Return the labelled images of `data`; raise DataError unless the model knows every class."""
    files = labelled_files(data)
    found = list(dict.fromkeys(file.class_name for file in files))
    for name in found:
        if name not in class_names:
            raise DataError(
                f"class {name!r} is unknown to the model{did_you_mean(name, class_names)}: {data} has "
                f"{_listed(found)}; the model knows {_listed(class_names)}; name pictures of these classes, or of some"
            )
    return [(file.path, class_names.index(file.class_name)) for file in files]


def _listed(names: Sequence[str], most: int = 10) -> str:
    """Return the first names for an error of one line, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
