"""What `finetune check` finds of planted faults and of swapped labels; prints Markdown tables.

    python benchmarks/check_faults.py --photos DIR [--draws 10]

A draw copies 200 photos as they are, plants faults made of other photos beside them (faults.py) and checks that; then
it swaps 5 % of the labels of the whole folder for the label check with the starter weights. Nothing in DIR changes.
"""

import os
import shutil
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from faults import CLASS_FAULTS, FILE_FAULTS, ClassFault, FileFault

from finetune.check.check import Check, check, copy_groups
from finetune.check.finding import KINDS, Finding
from finetune.check.labels import FeatureMaker, check_labels, require_extra
from finetune.classifier import load
from finetune.data.dataset import LabelledFile
from finetune.data.header import image_format
from finetune.data.images import read_image
from finetune.data.network_input import to_input
from finetune.data.read_data import read_data
from finetune.errors import DataError, FinetuneError

CLEAN = 200  # photos of a draw that stay as they are
EACH = 2  # how often a draw plants a fault of files; each of classes it plants once
WRONG = 0.05  # share of the labels that are swapped
FIRST = 10  # doubted labels that a user in a hurry looks at
COPY = ("identical", "near")  # what the kinds of copies begin with

Accusation = tuple[Finding, Path | None]  # with the photo, or None when it is about classes


@dataclass
class Row:
    """One kind of fault: how often it was planted and found, and the titles under which the planted were named."""

    planted: int = 0
    found: int = 0
    titles: Counter[str] = field(default_factory=Counter)

    def add(self, named: Sequence[Finding], found: bool) -> None:
        self.planted += 1
        self.found += found
        self.titles.update({KINDS[finding.kind].title for finding in named})


def main(
    photos: Annotated[Path, typer.Option(exists=True, help="Photos of two classes, as `finetune train` takes them.")],
    draws: Annotated[int, typer.Option(min=2, help="How often to draw photos and labels.")] = 10,
) -> None:
    """Plant faults and swap labels, see what `finetune check` finds, and print Markdown tables."""
    try:
        require_extra()
        print_faults(jpegs(photos), draws)
        print_labels(photos, draws)
    except FinetuneError as error:
        sys.exit(f"error: {error}")


def jpegs(data: Path) -> list[LabelledFile]:
    """Return the JPEGs of the first two classes, whose bytes can be cut; raise DataError when they are too few."""
    dataset = read_data(data)
    records = [record for record in dataset.records if record.label < 2]
    found = [
        LabelledFile(record.path, dataset.class_names[record.label], record.split)
        for record in records
        if image_format(record.path.read_bytes()[:12]) == "JPEG"
    ]
    needed = CLEAN + EACH * len(FILE_FAULTS)
    if len(found) < needed:
        raise DataError(f"expected {needed} JPEGs in the first two classes of {data}, found {len(found)}; add photos")
    return found


def print_faults(photos: Sequence[LabelledFile], draws: int) -> None:
    """Print a row a fault, then what the photos that nothing was done to are accused of."""
    rows = {fault[:2]: Row() for fault in (*FILE_FAULTS, *CLASS_FAULTS)}
    accused: dict[str, list[Accusation]] = {"alone": [], "beside the faults": []}
    for seed in range(draws):
        drawn = [photos[row] for row in np.random.default_rng(seed).permutation(len(photos))]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "data")
            clean = {copied(photo, root, number): photo.path for number, photo in enumerate(drawn[:CLEAN])}
            accused["alone"] += accusations(check(root), clean)
            for fault in CLASS_FAULTS:
                rows[fault[:2]].add(*with_classes(fault, root, Path(folder, "classes")))
            planted = list(plant(drawn[CLEAN:], root))
            checked = check(root)
            missed = []
            for spoilt, photo, paths in planted:
                named = [finding for finding in checked.findings if paths[0] in finding.paths]
                found = any(finding.kind == spoilt.kind and set(paths) <= set(finding.paths) for finding in named)
                rows[spoilt[:2]].add(named, found)
                missed += [] if found else [f"not found: {spoilt.kind}, {spoilt.how}: {photo}"]
            accused["beside the faults"] += accusations(checked, clean)
        print(f"draw {seed + 1} of {draws}", *missed, sep="\n", file=sys.stderr)
    print(f"{len(rows)} faults of {len({kind for kind, _ in rows})} kinds, {draws} draws.\n")
    print("| kind | how it is made | planted | found | named as |\n|---|---|---|---|---|")
    for (kind, how), row in rows.items():
        titles = ", ".join(f"{title} {count}" for title, count in row.titles.most_common())
        print(f"| {kind} | {how} | {row.planted} | {row.found} | {titles or 'nothing'} |")
    print(f"| all | | {sum(row.planted for row in rows.values())} | {sum(row.found for row in rows.values())} | |\n")
    print(f"| {CLEAN} photos as they are, {draws} draws | accused, hard | accused, soft | of what |\n|---|---|---|---|")
    for where, accusing in accused.items():
        print(f"| {where} | {' | '.join(summed(accusing))} |")


def copied(photo: LabelledFile, root: Path, number: int) -> Path:
    """Copy a photo to its side and class in the new data; return where it is."""
    path = root / str(photo.split) / photo.class_name / f"{number:04}-{photo.path.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(photo.path, path))


def plant(photos: Sequence[LabelledFile], root: Path) -> Iterator[tuple[FileFault, Path, list[Path]]]:
    """Write every fault EACH times; yield it with the photo that it is made of, its file and what that copies."""
    one, other = sorted({photo.class_name for photo in photos})
    for number, (fault, photo) in enumerate(zip(FILE_FAULTS * EACH, photos, strict=False), CLEAN):
        folder = root / fault.folder.format(
            side=photo.split,
            name=photo.class_name,
            other_side="train" if photo.split == "val" else "val",
            other_name=other if photo.class_name == one else one,
        )
        path = folder / f"{number:04}-planted{fault.suffix}"
        path.write_bytes(fault.make(photo.path.read_bytes(), read_image(photo.path)))
        yield fault, photo.path, [path, copied(photo, root, number)] if fault.is_copy else [path]


def with_classes(fault: ClassFault, sound: Path, data: Path) -> tuple[list[Finding], bool]:
    """Check a copy of sound data with a fault of classes; return what names it, and whether it is found."""
    shutil.copytree(sound, data, copy_function=os.link)
    first, second = sorted(folder.name for folder in (data / "train").iterdir())
    for side, count in (("train", fault.train), ("val", fault.val)):
        if not fault.names:
            shutil.rmtree(data / side / second)
        for name in fault.names:
            if count or not fault.train + fault.val:
                (data / side / name).mkdir()
            for path in sorted((data / side / first).iterdir())[:count]:
                path.rename(data / side / name / path.name)
    names = {repr(name) for name in fault.names or (first,)}
    findings = [finding for finding in check(data).findings if not finding.paths]
    shutil.rmtree(data)
    named = [finding for finding in findings if any(name in finding.message for name in names)]
    return named, any(
        finding.kind == fault.kind and all(name in finding.message for name in names) for finding in named
    )


def accusations(checked: Check, clean: dict[Path, Path]) -> Iterator[Accusation]:
    """Yield every finding about photos that nothing was done to, with each one's own path, or about their classes."""
    for finding in checked.findings:
        if not finding.paths:
            yield finding, None
        yield from ((finding, clean[path]) for path in finding.paths if path in clean)


def summed(accused: Sequence[Accusation]) -> tuple[str, str, str]:
    """Return how many accusations are hard and how many soft, and what they are."""
    hard = sum(finding.hard for finding, _ in accused)
    what = Counter((KINDS[finding.kind].title, path.name if path else finding.message) for finding, path in accused)
    words = "; ".join(f"{title} {count}: {name}" for (title, name), count in what.most_common())
    return str(hard), str(len(accused) - hard), words


def print_labels(photos: Path, draws: int) -> None:
    """Print how many swapped labels are doubted, and how many of the doubted were swapped; features are made once."""
    checked = check(photos)
    seen = [picture for picture in checked.seen if picture.error is None]
    model = load("starter").model
    preprocessing = model.network.preprocessing
    copies = [finding for kind in KINDS if kind.startswith(COPY) for finding in checked.of(kind)]
    maker = FeatureMaker(model)
    for picture in seen:
        maker.add(to_input(read_image(picture.file.path, preprocessing.short_side), preprocessing))
    features, groups = maker.features(), copy_groups(seen, copies)
    class_names = sorted({picture.file.class_name for picture in seen})
    count = round(WRONG * len(seen))
    figures: dict[str, list[float]] = {}
    for seed in range(draws):
        generator = np.random.default_rng(seed)
        swapped = list(seen)
        wrong = generator.choice(len(seen), count, replace=False)
        for row in wrong:
            file = seen[row].file
            other = generator.choice([name for name in class_names if name != file.class_name])
            swapped[row] = replace(seen[row], file=file._replace(class_name=str(other)))
        doubts, accuracy = check_labels(swapped, features, groups)
        paths = {seen[row].file.path for row in wrong}
        right = [finding.paths[0] in paths for finding in doubts]
        for name, hits, of in (
            ("recall", sum(right), count),
            ("precision", sum(right), len(right)),
            (f"precision of the first {FIRST}", sum(right[:FIRST]), len(right[:FIRST])),
            ("accuracy of the doubting head", accuracy, 1),
        ):
            figures.setdefault(name, []).append(100 * hits / max(1, of))
    print(f"\n| {count} of {len(seen)} labels swapped, {draws} draws | mean ± deviation |\n|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {statistics.mean(values):.0f} ± {statistics.stdev(values):.0f} % |")


if __name__ == "__main__":
    typer.run(main)
