"""Measure how many planted faults and swapped labels `finetune check` finds; print Markdown tables.

    python benchmarks/check_faults.py --photos DIR [--draws 10]

A draw copies 200 photos unchanged, adds faults made from other photos (faults.py) and checks the result; then it swaps
5 % of the labels of the whole folder and checks those with the starter weights. Nothing in DIR changes.
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

from finetune.check.check import Check, check
from finetune.check.copies import copy_groups
from finetune.check.finding_kinds import KINDS, Finding
from finetune.check.label_doubts import FeatureCollector, find_label_doubts, require_extra
from finetune.classifier import load
from finetune.data.dataset import LabelledFile
from finetune.data.image_kinds import image_format
from finetune.data.images import read_image
from finetune.data.network_input import to_input
from finetune.data.read_data import read_data
from finetune.errors import DataError, FinetuneError

CLEAN = 200  # photos of a draw that stay unchanged
EACH = 2  # how often a draw plants each file fault; each class fault is planted once
WRONG = 0.05  # share of the labels that are swapped
FIRST = 10  # doubtful labels that a user in a hurry looks at
COPY = ("identical", "near")  # how the names of the kinds of copies begin

FalseAlarm = tuple[Finding, Path | None]  # with the photo, or None if it is about classes


@dataclass
class Row:
    """One kind of fault: how often it was planted and found, and the titles of the findings about it."""

    planted: int = 0
    found: int = 0
    titles: Counter[str] = field(default_factory=Counter)

    def add(self, findings: Sequence[Finding], found: bool) -> None:
        self.planted += 1
        self.found += found
        self.titles.update({KINDS[finding.kind].title for finding in findings})


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
    """Return the JPEGs of the first two classes, which can be cut anywhere; raise DataError when there are too few."""
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
    """Print a row per fault, then the findings about unchanged photos."""
    rows = {fault[:2]: Row() for fault in (*FILE_FAULTS, *CLASS_FAULTS)}
    alarms: dict[str, list[FalseAlarm]] = {"alone": [], "with the faults": []}
    for seed in range(draws):
        drawn = [photos[row] for row in np.random.default_rng(seed).permutation(len(photos))]
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "data")
            clean = {copied(photo, root, number): photo.path for number, photo in enumerate(drawn[:CLEAN])}
            alarms["alone"] += false_alarms(check(root), clean)
            for class_fault in CLASS_FAULTS:
                rows[class_fault[:2]].add(*check_class_fault(class_fault, root, Path(folder, "classes")))
            planted = list(plant(drawn[CLEAN:], root))
            checked = check(root)
            missed = []
            for fault, photo, paths in planted:
                findings = [finding for finding in checked.findings if paths[0] in finding.paths]
                found = any(finding.kind == fault.kind and set(paths) <= set(finding.paths) for finding in findings)
                rows[fault[:2]].add(findings, found)
                missed += [] if found else [f"not found: {fault.kind}, {fault.how}: {photo}"]
            alarms["with the faults"] += false_alarms(checked, clean)
        print(f"draw {seed + 1} of {draws}", *missed, sep="\n", file=sys.stderr)
    print(f"{len(rows)} faults of {len({kind for kind, _ in rows})} kinds, {draws} draws.\n")
    print("| kind | how it is made | planted | found | reported as |\n|---|---|---|---|---|")
    for (kind, how), row in rows.items():
        titles = ", ".join(f"{title} {count}" for title, count in row.titles.most_common())
        print(f"| {kind} | {how} | {row.planted} | {row.found} | {titles or 'nothing'} |")
    print(f"| all | | {sum(row.planted for row in rows.values())} | {sum(row.found for row in rows.values())} | |\n")
    print(f"| {CLEAN} unchanged photos, {draws} draws | hard findings | soft findings | which |\n|---|---|---|---|")
    for where, found_there in alarms.items():
        print(f"| {where} | {' | '.join(summary(found_there))} |")


def copied(photo: LabelledFile, root: Path, number: int) -> Path:
    """Copy a photo to its split and class in the new data; return its path there."""
    path = root / str(photo.split) / photo.class_name / f"{number:04}-{photo.path.name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(photo.path, path))


def plant(photos: Sequence[LabelledFile], root: Path) -> Iterator[tuple[FileFault, Path, list[Path]]]:
    """Write every fault EACH times; yield it with its source photo and its file, followed by the photo it copies."""
    one, other = sorted({photo.class_name for photo in photos})
    for number, (fault, photo) in enumerate(zip(FILE_FAULTS * EACH, photos, strict=False), CLEAN):
        folder = root / fault.folder.format(
            split=photo.split,
            name=photo.class_name,
            other_split="train" if photo.split == "val" else "val",
            other_name=other if photo.class_name == one else one,
        )
        path = folder / f"{number:04}-planted{fault.suffix}"
        path.write_bytes(fault.make(photo.path.read_bytes(), read_image(photo.path)))
        yield fault, photo.path, [path, copied(photo, root, number)] if fault.is_copy else [path]


def check_class_fault(fault: ClassFault, sound: Path, data: Path) -> tuple[list[Finding], bool]:
    """Check a copy of sound data with a class fault; return the findings about it, and whether it is found."""
    shutil.copytree(sound, data, copy_function=os.link)
    first, second = sorted(folder.name for folder in (data / "train").iterdir())
    for split, count in (("train", fault.train), ("val", fault.val)):
        if not fault.names:
            shutil.rmtree(data / split / second)
        for name in fault.names:
            if count or not fault.train + fault.val:
                (data / split / name).mkdir()
            for path in sorted((data / split / first).iterdir())[:count]:
                path.rename(data / split / name / path.name)
    names = {repr(name) for name in fault.names or (first,)}
    findings = [finding for finding in check(data).findings if not finding.paths]
    shutil.rmtree(data)
    about = [finding for finding in findings if any(name in finding.message for name in names)]
    return about, any(
        finding.kind == fault.kind and all(name in finding.message for name in names) for finding in about
    )


def false_alarms(checked: Check, clean: dict[Path, Path]) -> Iterator[FalseAlarm]:
    """Yield every finding about unchanged photos, with the photo's original path, or about their classes."""
    for finding in checked.findings:
        if not finding.paths:
            yield finding, None
        yield from ((finding, clean[path]) for path in finding.paths if path in clean)


def summary(alarms: Sequence[FalseAlarm]) -> tuple[str, str, str]:
    """Return how many findings are hard and how many soft, and which they are."""
    hard = sum(finding.hard for finding, _ in alarms)
    which = Counter((KINDS[finding.kind].title, path.name if path else finding.message) for finding, path in alarms)
    listed = "; ".join(f"{title} {count}: {name}" for (title, name), count in which.most_common())
    return str(hard), str(len(alarms) - hard), listed


def print_labels(photos: Path, draws: int) -> None:
    """Print how many swapped labels are doubted, and how many doubted labels were swapped; compute features once."""
    checked = check(photos)
    looks = [image for image in checked.looks if image.error is None]
    model = load("starter").model
    preprocessing = model.network.preprocessing
    copies = [finding for kind in KINDS if kind.startswith(COPY) for finding in checked.of(kind)]
    collector = FeatureCollector(model)
    for image in looks:
        collector.add(to_input(read_image(image.file.path, preprocessing.short_side), preprocessing))
    features, groups = collector.features(), copy_groups(looks, copies)
    class_names = sorted({image.file.class_name for image in looks})
    count = round(WRONG * len(looks))
    metrics: dict[str, list[float]] = {}
    for seed in range(draws):
        generator = np.random.default_rng(seed)
        swapped = list(looks)
        wrong = generator.choice(len(looks), count, replace=False)
        for row in wrong:
            file = looks[row].file
            other = generator.choice([name for name in class_names if name != file.class_name])
            swapped[row] = replace(looks[row], file=file._replace(class_name=str(other)))
        doubts, accuracy = find_label_doubts(swapped, features, groups)
        paths = {looks[row].file.path for row in wrong}
        right = [finding.paths[0] in paths for finding in doubts]
        for name, hits, of in (
            ("recall", sum(right), count),
            ("precision", sum(right), len(right)),
            (f"precision of the first {FIRST}", sum(right[:FIRST]), len(right[:FIRST])),
            ("accuracy of the doubting head", accuracy, 1),
        ):
            metrics.setdefault(name, []).append(100 * hits / max(1, of))
    print(f"\n| {count} of {len(looks)} labels swapped, {draws} draws | mean ± standard deviation |\n|---|---|")
    for name, values in metrics.items():
        print(f"| {name} | {statistics.mean(values):.0f} ± {statistics.stdev(values):.0f} % |")


if __name__ == "__main__":
    typer.run(main)
