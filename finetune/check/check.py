"""`check(data)`: look at every file once and gather the findings; nothing is changed, moved or deleted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune.check.classes import ClassCounts, check_classes
from finetune.check.copies import copy_groups, find_copies
from finetune.check.finding_kinds import KINDS, Finding
from finetune.check.label_doubts import FeatureCollector, find_label_doubts, require_extra
from finetune.check.listing import Listing, list_files
from finetune.check.look import ImageLook, look
from finetune.check.oddities import check_images
from finetune.choices import SplitName
from finetune.runs.open_model import open_model
from finetune.system.parallel import parallel_map
from finetune.system.progress import track


@dataclass(frozen=True)
class Check:
    """What a check found, in the order of KINDS, and the look at every file.

    `counts`: class name -> split -> readable images. `named_splits`: the split of every file that the data names, None
    where training makes it, which counts as one to train on.
    `accuracy`: of the head that doubts labels, 0 to 1, if a model was given.
    """

    data: Path
    looks: tuple[ImageLook, ...]
    counts: ClassCounts
    named_splits: Mapping[Path, SplitName | None]
    findings: tuple[Finding, ...]
    accuracy: float | None = None

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of a kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def splits(self) -> tuple[SplitName, ...]:
        """Return the splits that images are counted in: those of training, and test if the data has it."""
        return ("train", "val", "test") if any(splits["test"] for splits in self.counts.values()) else ("train", "val")

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        doubted = {} if self.accuracy is None else {"label_check_accuracy": self.accuracy}
        counts = {name: {split: splits[split] for split in self.splits()} for name, splits in self.counts.items()}
        return {
            "data": str(self.data),
            "files": len(self.looks),
            "readable": sum(splits.total() for splits in self.counts.values()),
            "classes": counts,
            **doubted,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check(data: Path, model: str | None = None) -> Check:
    """Look at every image of `data` once, on all cores, and return what is wrong or unusual.

    `model`: a run, file or name, as `finetune.load` takes, whose features are used to doubt labels. Raises DataError
    when there is nothing to look at, UsageError when a library that `model` needs is missing.
    """
    listing = list_files(data)
    collector = None
    if model is not None:
        require_extra()
        collector = FeatureCollector(open_model(model))
    looks = list(map(_in_a_split, _look_at_all(listing, collector)))
    readable = [image for image in looks if image.error is None]
    counts = {name: Counter[str]() for name in listing.class_names}
    for image in readable:
        counts[image.file.class_name][str(image.file.split)] += 1
    copies = list(find_copies(looks))
    findings = [*listing.findings, *check_images(looks), *copies, *check_classes(counts)]
    accuracy = None
    if collector is not None:
        doubts, accuracy = find_label_doubts(readable, collector.features(), copy_groups(readable, copies))
        findings += doubts
    named_splits = {file.path: file.split for file in listing.files}
    return Check(data, tuple(looks), counts, named_splits, _sorted_by_kind(findings), accuracy)


def _look_at_all(listing: Listing, collector: FeatureCollector | None) -> list[ImageLook]:
    """Look at every file, in order; pixels go to the collector and are not kept."""
    preprocessing = collector.preprocessing if collector else None
    looks = []
    found = parallel_map(lambda file: look(file, preprocessing), listing.files)
    for image in track(found, len(listing.files), "checking", "files"):
        if collector is not None and image.pixels is not None:
            collector.add(image.pixels)
        looks.append(replace(image, pixels=None))
    return looks


def _in_a_split(image: ImageLook) -> ImageLook:
    """Return the image in its split; one that the data puts in none is trained on, as `train` does by default."""
    return image if image.file.split else replace(image, file=image.file._replace(split="train"))


def _sorted_by_kind(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings in the order of KINDS, and within a kind in the order they were found."""
    order = list(KINDS)
    return tuple(sorted(findings, key=lambda finding: order.index(finding.kind)))
