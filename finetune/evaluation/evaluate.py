"""`evaluate`: how good the model of a run is, on the run's own validation images or on other data."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Kept, SplitName
from finetune.classifier import Classifier
from finetune.data.class_name import class_name
from finetune.data.dataset import Skipped
from finetune.data.idx import image_exists
from finetune.data.read_data import labelled_files
from finetune.data.split import missing_split
from finetune.errors import DataError, ImageError, RunError
from finetune.evaluation.assess import Evaluation, LabelledPaths, assess
from finetune.model import Model, load_model
from finetune.runs.image_locations import locate_images
from finetune.runs.overlap import count_overlap
from finetune.runs.read_run import read_dataset
from finetune.runs.run import MANIFEST, Run, open_run
from finetune.system.progress import track
from finetune.system.text import did_you_mean, first_few


def evaluate(run_path: Path, data: Path | None = None, split: SplitName | None = None) -> Evaluation:
    """Evaluate the model of a run on its own validation images, or on `data` in any form that training takes.

    Of `data` with splits, the validation images are evaluated, or else the test images. `split`: that split instead,
    by the name that the data gives to it, or without `data` that of the run's manifest, which has `train` and `val`.
    Classes are matched by name. `data` may hold only some of the model's classes; the model still chooses among all.
    Unreadable images are listed, and images that training used are counted. Raises RunError when `run_path` is not a
    finished run, DataError when there is no such split, the model does not know a class or no image can be read.
    """
    run = open_run(run_path)
    classifier = Classifier(load_model(run.model))
    if data is None:
        labelled = _own_images(run, classifier.class_names, split)
    else:
        labelled = _images_of(data, classifier.class_names, split)
    readable: LabelledPaths = []
    rows: list[NDArray[np.float32]] = []
    unreadable: list[Skipped] = []
    answers = track(classifier.logits(path for path, _ in labelled), len(labelled), "evaluating", "images")
    for (path, label), (_, logits) in zip(labelled, answers, strict=True):
        if isinstance(logits, ImageError):
            unreadable.append(Skipped(path, str(logits)))
        else:
            readable.append((path, label))
            rows.append(logits)
    if not rows:
        own = f"the {'training' if split == 'train' else 'validation'} images of {run_path}"
        images = own if data is None else str(data)
        raise DataError(f"no image of {images} can be read; {_advice(run, data, unreadable)}")
    evaluation = assess(readable, np.stack(rows), classifier.class_names, classifier.temperature, unreadable)
    overlap = count_overlap(run, (path for path, _ in readable))
    return replace(evaluation, overlap=overlap, kept=_kept(classifier.model))


def _kept(model: Model) -> Kept:
    """Return which model of its training it is; those of 0.1, which have no such entry, are of the best epoch."""
    metrics = model.about.get("metrics")
    kept = metrics.get("kept") if isinstance(metrics, Mapping) else None
    return next((name for name in get_args(Kept) if name == kept), "best")


def _own_images(run: Run, class_names: tuple[str, ...], split: SplitName | None) -> LabelledPaths:
    """Return the images of a split in the run's manifest, by default those that validate.

    Raises RunError if the run's classes are not the model's, DataError if no image is in the split.
    """
    dataset = read_dataset(run)
    if dataset.class_names != class_names:
        raise RunError(
            f"{run.path} has files of two runs: its model knows {first_few(class_names)}, "
            f"its images are of {first_few(dataset.class_names)}; train again"
        )
    records = [record for record in dataset.records if record.split == (split or "val")]
    if not (split or records):
        raise DataError(
            f"{run.path} has no validation images: its accuracy is that of training images, each held out once, as in "
            "report.html; give other images with --data, or evaluate those it was fitted on with --split train"
        )
    if not records:
        raise missing_split(run.path / MANIFEST, str(split), {record.split for record in dataset.records})
    return [(record.path, record.label) for record in locate_images(run, records)]


def _images_of(data: Path, class_names: tuple[str, ...], split: SplitName | None) -> LabelledPaths:
    """Return the labelled images of `data`; raise DataError unless the model knows every class."""
    files = labelled_files(data, split)
    found = list(dict.fromkeys(file.class_name for file in files))
    known = [class_name(name) for name in class_names]
    for name in found:
        if name not in known:
            raise DataError(
                f"the model has no class {name!r}{did_you_mean(name, class_names)}: {data} has {first_few(found)}, "
                f"the model has {first_few(class_names)}; give images of some or all of the model's classes"
            )
    return [(file.path, known.index(file.class_name)) for file in files]


def _advice(run: Run, data: Path | None, unreadable: Sequence[Skipped]) -> str:
    """Return what to do when no image can be read."""
    if data is None and unreadable and not any(path.is_absolute() or image_exists(path) for path, _ in unreadable):
        return (
            f"the paths in {run.path / MANIFEST} are relative to the folder where train was run; evaluate from there, "
            "or give a folder of images with --data"
        )
    first = f"; the first: {unreadable[0].path}: {unreadable[0].reason}" if unreadable else ""
    return f"give a folder of images with --data{first}"
