"""The drawn textures: what they look like, that a seed repeats them, and that nothing is drawn over."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.data import textures
from finetune.data.folder import read_folder
from finetune.data.textures import PER_CLASS, TEXTURES, draw_folder
from finetune.errors import RunError


def drawn(out: Path, seed: int) -> dict[str, str]:
    """Return name -> digest of everything that is drawn with a seed."""
    draw_folder(out / "images", out / "held-out.png", seed)
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def pixels(name: str, seed: int) -> np.ndarray:
    """Return a texture without its noise: true where the darker of its two colours is."""
    image = TEXTURES[name](np.random.default_rng(seed)).astype(float).mean(axis=2)
    return image < (image.min() + image.max()) / 2


def test_thirty_images_of_each_texture_and_one_more(tmp_path: Path) -> None:
    files = drawn(tmp_path, seed=0)
    expected = [f"images/{name}/{number:02}.png" for name in TEXTURES for number in range(PER_CLASS)]
    assert list(files) == ["held-out.png", *expected]
    assert list(TEXTURES) == ["checks", "dots", "stripes", "waves"]
    assert len(set(files.values())) == 121
    for name in files:
        with Image.open(tmp_path / name) as image:
            assert (image.size, image.mode) == ((240, 240), "RGB")
            assert np.asarray(image).std() > 10
    dataset = read_folder(tmp_path / "images")
    assert dataset.class_names == tuple(TEXTURES)
    assert sum(record.split == "val" for record in dataset.records) == 4 * 6


def test_a_seed_draws_the_same_and_another_one_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textures, "PER_CLASS", 3)
    first = drawn(tmp_path / "first", seed=3)
    assert drawn(tmp_path / "same", seed=3) == first
    assert not set(drawn(tmp_path / "other", seed=4).values()) & set(first.values())


def test_every_texture_is_what_its_name_says() -> None:
    """Half of the pixels have each colour, except that dots leave more of the background."""
    for name in ("checks", "stripes", "waves"):
        assert 0.4 < pixels(name, 1).mean() < 0.6, name
    assert 0.1 < pixels("dots", 1).mean() < 0.5


@pytest.mark.parametrize("name", TEXTURES)
def test_two_colours_and_a_little_noise(name: str) -> None:
    """The darker colour is at most 110 in every channel, the lighter one at least 145; the noise deviates by 12."""
    image, dark = TEXTURES[name](np.random.default_rng(1)).astype(float), pixels(name, 1)
    for own, low, high in ((dark, 0, 111), (~dark, 144, 256)):
        means = image[own].mean(axis=0)
        assert ((low <= means) & (means <= high)).all()
        assert image[own].std(axis=0).max() == pytest.approx(12, rel=0.1)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["a folder", "a file"])
def test_nothing_is_drawn_over(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "images")
    with pytest.raises(RunError) as caught:
        draw_folder(tmp_path / "images", tmp_path / "held-out.png", 0)
    assert str(caught.value) == f"{tmp_path / 'images'} already exists; choose another --out"
    assert [path.name for path in tmp_path.rglob("*")] == ["images"]


def test_a_folder_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError) as caught:
        draw_folder(tmp_path / "file" / "images", tmp_path / "held-out.png", 0)
    place = tmp_path / "file" / "images"
    assert str(caught.value) == f"{place} cannot be created (Not a directory); choose another --out"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (OSError(28, "No space left on device"), RunError, "cannot be written (No space left on device)"),
        (KeyboardInterrupt(), KeyboardInterrupt, ""),
    ],
)
def test_half_a_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, kind: type[BaseException], message: str
) -> None:
    """Only what was drawn: other files next to the folder stay."""

    def fail(*_: object) -> None:
        raise error

    (tmp_path / "mine").touch()
    monkeypatch.setitem(TEXTURES, "stripes", fail)
    with pytest.raises(kind) as caught:
        draw_folder(tmp_path / "images", tmp_path / "held-out.png", 0)
    assert message in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    (tmp_path / "mine").unlink()
    with pytest.raises(kind):
        draw_folder(tmp_path / "new" / "images", tmp_path / "new" / "held-out.png", 0)
    assert list(tmp_path.iterdir()) == []


def test_half_a_held_out_image_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = textures._write

    def fill_the_disk(path: Path, image: np.ndarray) -> None:
        write(path, image)
        if path.name == "held-out.png":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(textures, "PER_CLASS", 1)
    monkeypatch.setattr(textures, "_write", fill_the_disk)
    with pytest.raises(RunError, match="cannot be written"):
        draw_folder(tmp_path / "new" / "images", tmp_path / "new" / "held-out.png", 0)
    assert list(tmp_path.iterdir()) == []
