"""What a report is drawn from, made up."""

from pathlib import Path
from typing import Any

import numpy as np

from finetune.data.dataset import Dataset, Record, Skipped
from finetune.evaluation.assess import assess
from finetune.evaluation.report import with_thumbnails

EPOCHS = [
    {
        "epoch": number,
        "learning_rate": 0.1 / number,
        "train_loss": 0.5,
        "train_accuracy": 0.5,
        "val_loss": 0.25,
        "val_accuracy": 0.875,
    }
    for number in (1, 2)
]
CONFIG = {"data": "photos"}
METRICS = {"kept": "last", "val_accuracy": 0.875, "best_epoch": 1, "epochs": 2, "interrupted": False}


def dataset(names: tuple[str, ...], paths: list[Path], skipped: tuple[Skipped, ...] = ()) -> Dataset:
    records = tuple(Record(path, i % len(names), "val", "") for i, path in enumerate(paths))
    return Dataset((*records, *(Record(Path("t"), label, "train", "") for label in range(len(names)))), names, skipped)


def evaluation_json(names: tuple[str, ...], paths: list[Path], temperature: float = 1.0) -> dict[str, Any]:
    """The evaluation of a model that always predicts the first class, with the least confidence for the last image."""
    output = np.zeros((len(paths), len(names)), np.float32)
    output[:, 0] = np.arange(len(paths), 0, -1)
    labelled = [(path, i % len(names)) for i, path in enumerate(paths)]
    return with_thumbnails(assess(labelled, output, names, temperature).to_json())
