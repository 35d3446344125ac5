"""The checks that training runs on the data it has listed and hashed; no pixel is decoded."""

from collections import Counter

from finetune.check.classes import check_classes
from finetune.check.finding_kinds import KINDS
from finetune.data.dataset import Dataset, Record
from finetune.system.text import first_few

SHOWN = 5  # findings of one kind


def training_warnings(dataset: Dataset) -> list[str]:
    """Return one line for each fault that digests, names and counts show; an empty list for sound data."""
    by_digest: dict[str, list[Record]] = {}
    for record in dataset.records:
        by_digest.setdefault(record.digest, []).append(record)
    groups = list(by_digest.values())
    mixed = [same for same in groups if len({record.label for record in same}) > 1]
    leaked = [same for same in groups if len({record.split for record in same}) > 1]
    lines = [
        _line(
            "identical-classes",
            [[f"{record.path} ({dataset.class_names[record.label]!r})" for record in same] for same in mixed],
        ),
        _divided(dataset),
        _line("identical-sides", [[str(record.path) for record in same] for same in leaked]),
    ]
    counts = {name: Counter[str]() for name in dataset.class_names}
    for record in dataset.records:
        counts[dataset.class_names[record.label]][record.split] += 1
    messages: dict[str, list[str]] = {}
    for finding in check_classes(counts):
        messages.setdefault(finding.kind, []).append(finding.message)
    lines += [f"{KINDS[kind].title}: {first_few(several, SHOWN, '; ')}" for kind, several in messages.items()]
    return [line for line in lines if line]


def _divided(dataset: Dataset) -> str:
    """Return a line that counts the groups in two splits and names the first; empty when there is none."""
    divided = dataset.divided_groups()
    if not divided:
        return ""
    name, records = next(iter(divided.items()))
    firsts = {record.split: record.path for record in reversed(records)}
    count = "1 group is" if len(divided) == 1 else f"{len(divided):,} groups are"
    first = f"{name!r} ({firsts['train']} to train on, {firsts['val']} to validate)"
    return f"{count} in training and validation, as the data's own splits say; the first is {first}"


def _line(kind: str, groups: list[list[str]]) -> str:
    """Return a line that counts the groups of copies and shows the first; empty when there is none."""
    if not groups:
        return ""
    count = "1 image is" if len(groups) == 1 else f"{len(groups):,} images are"
    return f"{count} {KINDS[kind].title}: {first_few([' = '.join(group[:3]) for group in groups], most=1)}"
