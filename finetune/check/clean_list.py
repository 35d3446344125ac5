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
    """Write path,label and, for data that came with splits, split; return a summary of what was excluded and why.

    Paths are absolute, so that the list works from any folder. Doubtful labels stay, and so do copies in different
    classes that are only nearly identical.
    """
    excluded = _excluded(check)
    kept = {image.file.path: image.file for image in check.looks if image.file.path not in excluded}
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")  # a label may begin with a space
        writer.writerow(("path", "label", "split") if check.has_splits else ("path", "label"))
        for image in kept.values():
            row = (str(image.path.absolute()), harmless(image.class_name))
            writer.writerow((*row, image.split) if check.has_splits else row)
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
