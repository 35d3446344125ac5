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
