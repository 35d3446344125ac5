"""Run directories written by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.data.dataset import Dataset
from finetune.runs.run import Run


def started(path: Path, config: Mapping[str, Any], dataset: Dataset, plan: str = "") -> Run:
    """Write the first files of a run, as a training does, and return it."""
    run = Run(path)
    with run.starting() as new:
        new.write_config(config)
        new.write_data(dataset)
        if plan:
            new.write_plan(plan)
    return run


def finished(path: Path, config: Mapping[str, Any], dataset: Dataset, correct: int = 0, **metrics: Any) -> Run:
    """Write the files of a run with an evaluation in which `correct` images to validate were right, and return it."""
    run = started(path, config, dataset)
    images = sum(record.split == "val" for record in dataset.records)
    run.write_metrics({"interrupted": False, **metrics})
    run.write_evaluation(
        {"images": images, "top1": correct / images, "loss_after": 0.5, "temperature": 1.25, "ece_after": 0.0625}
    )
    return run
