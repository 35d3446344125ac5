"""Which images a run has already used."""

import shutil
from pathlib import Path

import numpy as np
from support.runs import started
from support.small_run import records

from finetune.data.dataset import Dataset, Record
from finetune.runs.overlap import Overlap, count_overlap
from finetune.runs.run import Run


def test_seen_by_digest_whatever_the_name(run: Run, tmp_path: Path) -> None:
    """A copy counts, one changed byte does not, and twice the same image counts twice."""
    train, val, changed = (tmp_path / f"{name}.png" for name in ("train", "val", "changed"))
    shutil.copy("images/dots/1.png", train)
    shutil.copy("images/waves/0.png", val)
    changed.write_bytes(b"x" + Path("images/dots/2.png").read_bytes()[1:])
    assert count_overlap(run, [train, train, val, changed]) == (2, 1)
    assert count_overlap(run, [changed, tmp_path / "gone.png"]) == (0, 0)
    assert count_overlap(run, (record.path for record in records())) == (3, 2)


def test_a_picture_on_both_sides_counts_on_both(run: Run, tmp_path: Path) -> None:
    shutil.copy("images/dots/0.png", "images/dots/1.png")
    assert count_overlap(run, [Path("images/dots/0.png")]) == (1, 1)


def test_images_of_one_file_are_told_apart(tmp_path: Path) -> None:
    """MNIST's images have a place in a file, not a file of their own."""
    images = tmp_path / "train-images-idx3-ubyte"
    pixels = np.arange(3 * 4, dtype=np.uint8).reshape(3, 2, 2)
    images.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 2]) + pixels.tobytes())
    numbered = [Path(f"{images}#{number}") for number in range(3)]
    records = tuple(Record(path, 0, "val" if path is numbered[1] else "train", "") for path in numbered)
    made = Run(tmp_path / "run")
    started(made.path, {}, Dataset(records, ("a", "b")))
    assert count_overlap(made, numbered) == Overlap(2, 1)
    assert count_overlap(made, numbered[1:2]) == Overlap(0, 1)


def test_not_known_without_the_images_or_the_manifest(run: Run, tmp_path: Path) -> None:
    other = shutil.copy("images/dots/1.png", tmp_path / "other.png")
    shutil.rmtree("images")
    assert count_overlap(run, [other]) is None
    (run.path / "manifest.csv").unlink()
    assert count_overlap(run, [other]) is None
