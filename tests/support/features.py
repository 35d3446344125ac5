"""Features of a data set, as a training computes them; and which files are decoded for that."""

from pathlib import Path
from typing import Any

import numpy as np

from finetune.data.dataset import Dataset
from finetune.training.features import Trunk, View
from finetune.training.plan import Plan


def views(count: int) -> tuple[View, ...]:
    """Return the first views of an image, in float32."""
    return tuple(View(number, "float32") for number in range(count))


def compute(plan: Plan, dataset: Dataset, count: int = 1, **options: Any) -> tuple[np.ndarray, dict[Path, str]]:
    """Return the rows of all readable images, one view after the other, and the unreadable ones with the reasons."""
    trunk = Trunk(plan)
    with trunk.open_store(**options) as store:
        unreadable = trunk.compute(dict.fromkeys(dataset.records, views(count)), store)
        readable = [record for record in dataset.records if record.path not in unreadable]
        rows = store.rows([trunk.key(record.digest, view) for record in readable for view in views(count)])
        return rows[np.arange(len(rows))], unreadable
