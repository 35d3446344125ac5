"""What is wrong or unusual about the classes: similar names, too few images, imbalance, a class in one split only."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from finetune.check.finding_kinds import Finding
from finetune.system.text import percent

FEW = 10  # training images: with a fifth of all for validation, only two or three are left to measure the class by
IMBALANCE = 5  # times: of two classes, always predicting the larger one is right for 83 %

ClassCounts = Mapping[str, Counter[str]]  # class name -> split -> readable images


def check_classes(counts: ClassCounts) -> Iterator[Finding]:
    """Yield what is wrong or unusual about the classes; of a class without images only the name is checked."""
    yield from _similar_names(counts)
    filled = {name: splits for name, splits in counts.items() if splits.total()}
    if len(filled) < 2:
        yield Finding("one-class", f"only {next(iter(filled))!r} has images" if filled else "no class has images")
    for name, splits in filled.items():
        missing = [split for split in ("train", "val") if not splits[split]]
        if missing and any(other[missing[0]] for other in filled.values()):
            where = "validation" if missing == ["val"] else "training"
            yield Finding("class-one-side", f"class {name!r} has no images in {where}")
    few = {name: splits["train"] for name, splits in filled.items() if 0 < splits["train"] < FEW}
    yield from (Finding("few-pictures", f"{name!r} has {count}") for name, count in few.items())
    sizes = Counter({name: splits["train"] for name, splits in filled.items() if splits["train"]}).most_common()
    if len(sizes) > 1 and sizes[0][1] >= IMBALANCE * sizes[-1][1]:
        (largest, most), (smallest, least) = sizes[0], sizes[-1]
        share = most / sum(count for _, count in sizes)
        yield Finding(
            "imbalance",
            f"{largest!r} has {most} to train on, {smallest!r} has {least}; "
            f"always predicting {largest!r} would be right for {percent(share, 0)}",
        )


def _similar_names(names: Iterable[str]) -> Iterator[Finding]:
    by_plain: dict[str, list[str]] = {}
    for name in sorted(names):
        by_plain.setdefault(_plain(name), []).append(name)
    for similar in by_plain.values():
        if len(similar) > 1:
            yield Finding("similar-names", f"classes {', '.join(map(repr, similar))}")


def _plain(name: str) -> str:
    """Return a name without the differences people type by accident: case, spaces, -, _, forms of Unicode."""
    letters = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-]+", "", letters) or name
