"""The list that `--write-list` writes: what `train --data` takes, without harmful files and extra copies."""

import csv
from collections import Counter
from pathlib import Path

from finetune.check.check import Check
from finetune.check.finding_kinds import KINDS
from finetune.system.atomic import replacing
from finetune.system.csv_cells import harmless

_EXCLUDE_ALL = ("unreadable", "damaged", "one-colour", "identical-classes")  # of the last, which label is right?
_EXCLUDE_ALL_BUT_FIRST = ("identical-sides", "identical", "near-sides", "near")


def write_clean_list(check: Check, path: Path) -> str:
    """Write path,label and, if the data names them, split and group; return what was excluded and why.

    An image in no named split, next to a test split, is one to train on: training makes the validation split itself.
    Paths are absolute, so that the list works from any folder. Doubtful labels stay, and so do copies in different
    classes that are only nearly identical.
    """
    excluded = _excluded(check)
    files = {image.file.path: image.file for image in check.looks if image.file.path not in excluded}
    kept = list(files.values())
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")  # a path may begin with a space
        columns = {
            "path": [str(image.path.absolute()) for image in kept],
            "label": [harmless(image.class_name) for image in kept],
        }
        if any(check.named_splits.values()):
            columns["split"] = [check.named_splits[image.path] or "train" for image in kept]
        if any(image.group for image in kept):
            columns["group"] = [harmless(image.group) for image in kept]
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    reasons = [f"{KINDS[kind].title} ({count})" for kind, count in Counter(excluded.values()).items()]
    return f"{len(kept)} images; {len(excluded)} excluded{': ' if reasons else ''}{', '.join(reasons)}"


def _excluded(check: Check) -> dict[Path, str]:
    """Return path -> kind of finding of every file that the list excludes."""
    excluded: dict[Path, str] = {}
    for kind in (*_EXCLUDE_ALL, *_EXCLUDE_ALL_BUT_FIRST):
        for finding in check.of(kind):
            first = finding.paths[0]
            for path in finding.paths:
                if kind in _EXCLUDE_ALL or path != first:  # a list may name one file twice
                    excluded.setdefault(path, kind)
    return excluded
