"""`check(data)`: look at every file once and gather what is found; nothing is changed, moved or deleted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from finetune.check.classes import Counts, check_classes
from finetune.check.finding import KINDS, Finding
from finetune.check.labels import FeatureMaker, check_labels, require_extra
from finetune.check.listing import list_files
from finetune.check.look import Seen, look
from finetune.check.oddities import check_copies, check_pictures
from finetune.classifier import load
from finetune.data.preprocessing import Preprocessing
from finetune.data.split import split_by_digest
from finetune.system.parallel import parallel_map
from finetune.system.progress import track


@dataclass(frozen=True)
class Check:
    """What a check found: findings in the order of KINDS, and all that was seen.

    `counts`: class name -> side -> readable pictures; without sides of its own the data has those that training would
    give it. `accuracy`: of the head that doubts labels, 0 to 1, where a model was asked.
    """

    data: Path
    seen: tuple[Seen, ...]
    counts: Counts
    has_sides: bool
    findings: tuple[Finding, ...]
    accuracy: float | None = None

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of a kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        doubted = {} if self.accuracy is None else {"label_check_accuracy": self.accuracy}
        return {
            "data": str(self.data),
            "files": len(self.seen),
            "readable": sum(sides.total() for sides in self.counts.values()),
            "classes": {name: {side: sides[side] for side in ("train", "val")} for name, sides in self.counts.items()},
            **doubted,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check(data: Path, model: str | None = None) -> Check:
    """Look at every picture of `data` once, on all cores, and return what is wrong or odd.

    `model`: a run, file or name, as `finetune.classifier.load` takes, whose features doubt the labels. Raises DataError
    when there is nothing to look at, UsageError when a library for the model is missing.
    """
    listing = list_files(data)
    preprocessing: Preprocessing | None = None
    if model is not None:
        require_extra()
        loaded = load(model).model
        preprocessing = loaded.network.preprocessing
        maker = FeatureMaker(loaded)
    seen: list[Seen] = []
    looks = parallel_map(lambda file: look(file, preprocessing), listing.files)
    for picture in track(looks, len(listing.files), "checking", "files"):
        if picture.pixels is not None:
            maker.add(picture.pixels)
        seen.append(replace(picture, pixels=None))
    if not listing.has_sides:
        seen = _with_sides(seen, listing.class_names)
    counts = {name: Counter[str]() for name in listing.class_names}
    for picture in seen:
        if picture.error is None:
            counts[picture.file.class_name][str(picture.file.side)] += 1
    copies = list(check_copies(seen))
    findings = [*listing.findings, *check_pictures(seen), *copies, *check_classes(counts)]
    accuracy = None
    if model is not None:
        readable = [picture for picture in seen if picture.error is None]
        doubts, accuracy = check_labels(readable, maker.features(), copy_groups(readable, copies))
        findings += doubts
    order = list(KINDS)
    findings.sort(key=lambda finding: order.index(finding.kind))  # stable: within a kind as they were found
    return Check(data, tuple(seen), counts, listing.has_sides, tuple(findings), accuracy)


def _with_sides(seen: list[Seen], class_names: tuple[str, ...]) -> list[Seen]:
    """Return the pictures with the sides that training would give them, by default a fifth for validation."""
    labels = {name: label for label, name in enumerate(class_names)}
    readable = [(labels[picture.file.class_name], picture.digest) for picture in seen if picture.error is None]
    sides = split_by_digest(readable, val_fraction=0.2)
    return [replace(picture, file=picture.file._replace(side=sides.get(picture.digest))) for picture in seen]


def copy_groups(seen: Sequence[Seen], copies: Sequence[Finding]) -> list[int]:
    """Return a number for each picture, the same for those that are copies of each other."""
    leader = {path: copy.paths[0] for copy in copies for path in copy.paths[1:] if path != copy.paths[0]}
    numbers: dict[Path, int] = {}
    found = []
    for picture in seen:
        path = picture.file.path
        while path in leader:  # an identical copy leads to its first, that one to the one it is nearly a copy of
            path = leader[path]
        found.append(numbers.setdefault(path, len(numbers)))
    return found
