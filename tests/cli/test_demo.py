import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.cli import demo
from finetune.cli.demo import PER_CLASS, SIDE, TEXTURES, draw_folder
from finetune.data.folder import read_folder
from finetune.errors import RunError


def drawn(out: Path, seed: int) -> dict[str, str]:
    """Return name -> digest of everything that is drawn with a seed."""
    draw_folder(out / "pictures", out / "held-out.png", seed)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_thirty_pictures_each_of_four_textures_and_one_more(tmp_path: Path) -> None:
    files = drawn(tmp_path, seed=0)
    expected = [f"pictures/{name}/{number:02}.png" for name in TEXTURES for number in range(PER_CLASS)]
    assert list(files) == ["held-out.png", *expected]
    assert list(TEXTURES) == ["checks", "dots", "stripes", "waves"]
    assert len(set(files.values())) == 121
    for name in files:
        with Image.open(tmp_path / name) as image:
            assert (image.size, image.mode) == ((SIDE, SIDE), "RGB")
            assert np.asarray(image).std() > 10
    dataset = read_folder(tmp_path / "pictures")
    assert dataset.class_names == tuple(TEXTURES)
    assert sum(record.split == "val" for record in dataset.records) == 4 * 6


def test_a_seed_draws_the_same_and_another_one_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PER_CLASS", 3)
    first = drawn(tmp_path / "first", seed=3)
    assert drawn(tmp_path / "same", seed=3) == first
    assert not set(drawn(tmp_path / "other", seed=4).values()) & set(first.values())


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["a folder", "a file"])
def test_nothing_is_drawn_over(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "pictures")
    with pytest.raises(RunError) as caught:
        draw_folder(tmp_path / "pictures", tmp_path / "held-out.png", 0)
    assert str(caught.value) == f"{tmp_path / 'pictures'} exists already; choose another --out"
    assert [path.name for path in tmp_path.rglob("*")] == ["pictures"]


def test_a_place_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        draw_folder(tmp_path / "file" / "pictures", tmp_path / "held-out.png", 0)
    place = tmp_path / "file" / "pictures"
    assert str(caught.value) == f"{place} cannot be made (Not a directory); choose another --out"
