"""What the names and sizes of the classes show."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from finetune.check.finding import Finding

FEW = 10  # pictures to train on: with a fifth for validation, that leaves two or three to judge by
IMBALANCE = 5  # times: of two classes, always naming the larger one is right for 83 %

Counts = Mapping[str, Counter[str]]  # class name -> side -> readable pictures


def check_classes(counts: Counts) -> Iterator[Finding]:
    """Yield what is odd about the classes; those without any picture are passed over, but for their names."""
    yield from _similar_names(counts)
    filled = {name: sides for name, sides in counts.items() if sides.total()}
    if len(filled) < 2:
        yield Finding("one-class", f"only {next(iter(filled))!r} has pictures" if filled else "no class has pictures")
    for name, sides in filled.items():
        missing = [side for side in ("train", "val") if not sides[side]]
        if missing and any(other[missing[0]] for other in filled.values()):
            where = "validation" if missing == ["val"] else "training"
            yield Finding("class-one-side", f"class {name!r} has no picture in {where}")
    few = {name: sides["train"] for name, sides in filled.items() if 0 < sides["train"] < FEW}
    yield from (Finding("few-pictures", f"class {name!r} has {count} to train on") for name, count in few.items())
    sizes = Counter({name: sides["train"] for name, sides in filled.items() if sides["train"]}).most_common()
    if len(sizes) > 1 and sizes[0][1] >= IMBALANCE * sizes[-1][1]:
        (largest, most), (smallest, least) = sizes[0], sizes[-1]
        share = most / sum(count for _, count in sizes)
        yield Finding(
            "imbalance",
            f"{largest!r} has {most} to train on, {smallest!r} {least}; always {largest!r} is right for {share:.0%}",
        )


def _similar_names(names: Iterable[str]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault(_plain(name), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            yield Finding("similar-names", f"classes {', '.join(map(repr, same))}")


def _plain(name: str) -> str:
    """Return a name without what people write differently: case, spaces, hyphens, underscores, forms of Unicode."""
    letters = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_\-]+", "", letters) or name
