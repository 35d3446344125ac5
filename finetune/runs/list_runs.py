"""The runs in a folder, each in short, and what each changes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from finetune.errors import RunError
from finetune.option_rules import BY_GRADIENT
from finetune.runs.overview import RunOverview, last_written, overview
from finetune.runs.run import CONFIG, FACTS, MODEL, PENDING

UNIMPORTANT = ("out", "overwrite", *FACTS)  # differ between any two runs, or are not options


class ListedRun(NamedTuple):
    """A run, and the options in which it differs from the one before, with its own values.

    `other_images`: whether it has other images or splits than the one before, although --data is the same.
    """

    run: RunOverview
    changed: dict[str, Any]
    other_images: bool

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {**self.run.to_json(), "changed": self.changed, "other_images": self.other_images}


def list_runs(folder: Path) -> list[ListedRun]:
    """Return the runs directly in `folder`, the oldest first, each with what it changes.

    A damaged run is in the list too, with the reason. Raises RunError when `folder` is not a folder or is a run.
    """
    if not folder.is_dir():
        raise RunError(
            f"expected a folder of runs, but {folder} is not a folder; give another, or make a run with finetune train"
        )
    if (folder / CONFIG).exists():
        raise RunError(f"expected a folder of runs, but {folder} is itself a run; give the folder it is in")
    runs = sorted(
        (_overview(path) for path in folder.iterdir() if _may_be_run(path)),
        key=lambda run: (run.when, run.path),
    )
    listed, before = [], None
    for run in runs:
        listed.append(_listed(run, before))
        before = run if run.config else before  # a damaged run cannot be compared with
    return listed


def _may_be_run(path: Path) -> bool:
    """Return whether a folder is a run, perhaps a damaged one; one that cannot be entered may be."""
    try:
        return any((path / name).exists() for name in (CONFIG, PENDING, MODEL))
    except OSError:
        return True


def _overview(path: Path) -> RunOverview:
    """Return a run in short, also if it is damaged."""
    try:
        return overview(path)
    except (RunError, OSError) as error:
        return RunOverview(path, "damaged", last_written(path), {}, problem=str(error))


def _listed(run: RunOverview, before: RunOverview | None) -> ListedRun:
    if before is None:
        return ListedRun(run, {}, other_images=False)
    changed = changed_options(before.config, run.config)
    images = [config.get("data_sha256") for config in (before.config, run.config)]
    return ListedRun(run, changed, "data" not in changed and None not in images and images[0] != images[1])


def changed_options(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of `after`, a config.json, whose values differ from `before`.

    Only those that have a meaning for it: a probe has no epochs, and what is trained by gradient has no --probe.
    """
    meaningless = BY_GRADIENT if after.get("probe") else ("probe",)
    return {
        name: value
        for name, value in after.items()
        if name not in (*UNIMPORTANT, *meaningless) and name in before and before[name] != value
    }
