"""The list that `--write-list` writes: what `train --data` takes, less what does harm or counts twice."""

import csv
from collections import Counter
from pathlib import Path

from finetune.check.check import Check
from finetune.check.finding import KINDS
from finetune.system.atomic import replacing
from finetune.system.csv_cells import harmless

_ALL = ("unreadable", "damaged", "one-colour", "identical-classes")  # of the last nobody knows which label is right
_ALL_BUT_FIRST = ("identical-sides", "identical", "near-sides", "near")


def write_clean_list(check: Check, path: Path) -> str:
    """Write path,label and, for data with sides of its own, split; return in words what was left out, and why.

    Paths are absolute, so that the list works from any folder. Suspected labels and copies in different classes that
    are only nearly identical stay.
    """
    left_out: dict[Path, str] = {}
    for kind in (*_ALL, *_ALL_BUT_FIRST):
        for finding in check.of(kind):
            first = finding.paths[0]
            for copy in finding.paths:
                if kind in _ALL or copy != first:  # a list may name one file twice
                    left_out.setdefault(copy, kind)
    kept = {picture.file.path: picture.file for picture in check.seen if picture.file.path not in left_out}
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")  # a label may begin with a space
        writer.writerow(("path", "label", "split") if check.has_sides else ("path", "label"))
        for found in kept.values():
            row = (str(found.path.absolute()), harmless(found.class_name))
            writer.writerow((*row, found.side) if check.has_sides else row)
    reasons = [f"{KINDS[kind].title} {count}" for kind, count in Counter(left_out.values()).items()]
    return f"{len(kept)} pictures; {len(left_out)} left out{': ' if reasons else ''}{', '.join(reasons)}"
