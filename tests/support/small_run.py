"""The five images of the run that tests/runs reads: the first of each class is for validation."""

from pathlib import Path

from finetune.data.dataset import Record

NAMES = ("dots", "waves")


def records() -> tuple[Record, ...]:
    return tuple(
        Record(path, label, "val" if path.stem == "0" else "train", "")
        for label, name in enumerate(NAMES)
        for path in sorted(Path("images", name).iterdir())
    )
