"""Two runs side by side: the options that differ, the results, and whether the results can be compared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.runs.image_locations import locate_images
from finetune.runs.list_runs import UNIMPORTANT
from finetune.runs.overview import RunOverview, overview
from finetune.runs.read_run import read_dataset
from finetune.runs.run import Run


@dataclass(frozen=True)
class RunComparison:
    """Two runs, and name -> both values for the options and versions that differ.

    `same_images`: whether both were measured on the same images, so that their results can be compared.
    `shared_images`: how many images both were measured on. Both are None if a run has no results yet.
    """

    first: RunOverview
    second: RunOverview
    differing: dict[str, tuple[Any, Any]]
    same_images: bool | None
    shared_images: int | None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "runs": [self.first.to_json(), self.second.to_json()],
            "differing": {name: list(values) for name, values in self.differing.items()},
            "same_images": self.same_images,
            "shared_images": self.shared_images,
        }


def compare_runs(first: Path, second: Path) -> RunComparison:
    """Return two runs side by side; raise RunError when one is not a run or its files are damaged."""
    runs = overview(first), overview(second)
    before, after = (_options(run) for run in runs)
    differing = {name: (value, after[name]) for name, value in before.items() if name in after and after[name] != value}
    return RunComparison(*runs, differing, *_same_images(*runs))


def _options(run: RunOverview) -> dict[str, Any]:
    """Return the options of a run, and the versions that it was made with."""
    versions = run.config.get("versions")
    options = {name: value for name, value in run.config.items() if name not in UNIMPORTANT}
    return {**options, **(versions if isinstance(versions, dict) else {})}


def _same_images(first: RunOverview, second: RunOverview) -> tuple[bool, int] | tuple[None, None]:
    """Return whether two runs were measured on the same images, and how many both were measured on.

    config.json has a digest of all bytes, labels and splits, which finds the same images also in a folder that was
    moved. Where it differs, only paths can be compared: manifest.csv has no digests.
    """
    if not (first.results and second.results):
        return None, None
    digests = [run.config.get("data_sha256") for run in (first, second)]
    if digests[0] == digests[1] is not None:
        return True, first.results.images
    images = [_measured(run.path) for run in (first, second)]
    return images[0] == images[1], len(images[0] & images[1])


def _measured(path: Path) -> set[tuple[Path, str]]:
    """Return path and class of the validation images or, for a probe without any, of the training images."""
    dataset = read_dataset(Run(path))
    records = [record for record in dataset.records if record.split == "val"] or dataset.records
    return {(record.path.absolute(), dataset.class_names[record.label]) for record in locate_images(Run(path), records)}
