"""manifest: where a run's images are, from any folder, and which others are the same."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.runs import started

from finetune.data.dataset import Dataset, Record
from finetune.runs.manifest import Overlap, count_overlap, locate_images
from finetune.runs.run import Run

NAMES = ("dots", "waves")


@pytest.fixture
def run(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run made in `tmp_path` with relative names only; the first image of each class is for validation."""
    image_folder(dots=3, waves=2)
    monkeypatch.chdir(tmp_path)
    made = Run(Path("runs", "mine"))
    started(made.path, {"out": "runs/mine", "data": "images"}, Dataset(records(), NAMES))
    return made


def records() -> tuple[Record, ...]:
    return tuple(
        Record(path, label, "val" if path.stem == "0" else "train", "")
        for label, name in enumerate(NAMES)
        for path in sorted(Path("images", name).iterdir())
    )


def test_images_are_found_from_any_folder(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = records()
    assert locate_images(run, given) == list(given), "from where train was called the names stay as they are"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    expected = [tmp_path / record.path for record in given]
    assert [record.path for record in locate_images(Run(tmp_path / "runs" / "mine"), given)] == expected
    monkeypatch.chdir(tmp_path / "runs")
    assert [record.path for record in locate_images(Run(Path("mine")), given)] == expected


def test_a_run_without_a_name_of_its_own_stands_in_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "runs" / "mine" / "config.json").write_text('{"out": null}')
    given = (Record(Path("images", "dots", "0.png"), 0, "val", ""),)
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == list(given)


@pytest.mark.parametrize("out", ['"else/mine"', '"/runs/mine"', '"../runs/mine"', '"."', "7"])
def test_a_run_that_has_moved_says_nothing(run: Run, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = records()
    (run.path / "config.json").write_text(f'{{"out": {out}}}')
    monkeypatch.chdir("/")
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == list(given)


def test_absolute_paths_stay(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = [record._replace(path=record.path.absolute()) for record in records()]
    monkeypatch.chdir("/")
    assert locate_images(Run(tmp_path / "runs" / "mine"), given) == given


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
