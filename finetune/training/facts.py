"""What a run starts from, in its config.json: the source weights, the images, the versions."""

import hashlib
from collections.abc import Mapping
from typing import Any

from finetune import __version__
from finetune.data.dataset import Dataset
from finetune.errors import RunError
from finetune.runs.provenance import versions
from finetune.system.text import first_few
from finetune.training.plan import Plan


def facts(plan: Plan, dataset: Dataset) -> dict[str, Any]:
    """Return what config.json holds in addition to the options."""
    return {
        "source_weights": plan.source._asdict(),
        "version": __version__,
        "data_sha256": _digest(dataset),
        "solver_sha256": plan.solver.sha256 if plan.solver else None,
        "versions": versions(),
    }


def check_unchanged(started: Mapping[str, Any], class_names: tuple[str, ...], plan: Plan, dataset: Dataset) -> None:
    """Raise RunError when the classes, images or source weights are not those that a run was started with."""
    now = facts(plan, dataset)
    if class_names != dataset.class_names:
        raise RunError(
            f"the run has the classes {first_few(class_names)}, in this order, but the data now has "
            f"{first_few(dataset.class_names)}, so it cannot be resumed; start a new run"
        )
    source = started.get("source_weights")
    digest = source.get("sha256") if isinstance(source, Mapping) else ""
    changed = {
        "the images": started.get("data_sha256") != now["data_sha256"],
        "the source weights": digest != plan.source.sha256,  # whatever they are called
        "the files of the solver": started.get("solver_sha256") != now["solver_sha256"],
    }
    for what, is_changed in changed.items():
        if is_changed:
            raise RunError(f"{what} have changed since the run started, so it cannot be resumed; start a new run")


def _digest(dataset: Dataset) -> str:
    """Return one SHA-256 of all that training takes from the data: bytes, labels, splits and their order."""
    digest = hashlib.sha256()
    for record in dataset.records:
        digest.update(f"{record.digest} {record.label} {record.split}\n".encode())
    digest.update("".join(dataset.class_names).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
