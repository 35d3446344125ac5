"""What a training says before it starts, in a few lines: on which images, which network, what is trained, where to."""

from collections import Counter

from finetune.config import AUTO
from finetune.data.dataset import Dataset
from finetune.runs.run import Run
from finetune.system.table import table
from finetune.system.text import first_few
from finetune.training.describe import groups_and_copies
from finetune.training.method import method
from finetune.training.plan import Plan

NAMED_CLASSES = 5


def opening(plan: Plan, dataset: Dataset, run: Run) -> str:
    """Return the lines; the layer that a linear probe reads is still to be chosen."""
    config = plan.config
    rows = [
        ("data", f"{config.data}: {_images(dataset)}"),
        *(("", line) for line in groups_and_copies(dataset)),
        ("network", f"{plan.network.name}, weights {plan.source.name}"),
        ("training", _what(plan)),
        ("run", str(run.path)),
    ]
    if config.is_probe:
        rows.append(("cost", f"up to {_passes(dataset):,} forward passes of the frozen layers, then the fit"))
    return table("ll", rows)


def _images(dataset: Dataset) -> str:
    """Return how many classes and images there are, with the names of a few classes."""
    sides = Counter(record.split for record in dataset.records)
    val = f"{sides['val']:,} to validate" if sides["val"] else "none held out"
    names = f" ({first_few(dataset.class_names, NAMED_CLASSES)})"
    return f"{len(dataset.class_names):,} classes{names}; {sides['train']:,} images to train on, {val}"


def _what(plan: Plan) -> str:
    """Return what is trained, and how."""
    if plan.config.is_probe:
        asked = plan.config.probe
        layers = f"the best of {', '.join(plan.network.probe_layers())}" if asked in (None, AUTO) else asked
        return f"linear probe: a new {plan.skip[-1]} on {layers}; all else frozen"
    fresh = ", ".join(f"{name} fresh" if name in plan.skip else name for name in plan.trained)
    return f"{fresh}; {next(method(plan)).removeprefix('training: ')}"


def _passes(dataset: Dataset) -> int:
    """Return how many rows a probe needs: each training image and its mirror image, and each validation image."""
    return sum(2 if record.split == "train" else 1 for record in dataset.records)
