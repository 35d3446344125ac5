"""Where published weights are looked for on this machine."""

import hashlib
from pathlib import Path

import pytest

from finetune.pretrained.catalogue import CATALOGUE
from finetune.pretrained.locate import find, folders, how_to_get


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """The folders that are searched, in a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINETUNE_WEIGHTS", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {
        "chosen": tmp_path / "chosen",
        "here": tmp_path / "weights",
        "cache": tmp_path / "cache/finetune/weights",
    }


def test_order_of_the_folders(places: dict[str, Path]) -> None:
    chosen, here, own, cache = (path.absolute() for path in folders())
    assert [chosen, here, cache] == [places[name] for name in ("chosen", "here", "cache")]
    assert (own / "starter.safetensors").is_file(), "next to the package in a checkout, in it when installed"
    for place in ("cache", "here", "chosen"):
        places[place].mkdir(parents=True)
        path = places[place] / "bvlc_alexnet.npy"
        path.touch()
        found = find("bvlc_alexnet")
        assert found is not None
        assert found.absolute() == path


@pytest.mark.parametrize("file", ["bvlc_alexnet.caffemodel", "bvlcalexnet-12.onnx", "bvlc_alexnet.npy"])
def test_every_file_of_an_entry_is_found_and_safetensors_first(places: dict[str, Path], file: str) -> None:
    assert find("bvlc_alexnet") is None
    places["here"].mkdir()
    (places["here"] / file).touch()
    assert find("bvlc_alexnet") == Path("weights", file)
    (places["here"] / "bvlc_alexnet.safetensors").touch()
    assert find("bvlc_alexnet") == Path("weights/bvlc_alexnet.safetensors")


def test_a_folder_with_the_name_of_a_file_is_not_found(places: dict[str, Path]) -> None:
    (places["here"] / "bvlc_alexnet.npy").mkdir(parents=True)
    assert find("bvlc_alexnet") is None


def test_the_starter_is_part_of_the_package(places: dict[str, Path]) -> None:
    path = find("starter")
    assert path is not None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert CATALOGUE["starter"].digest == f"sha256:{digest}"
    weights = Path(__file__).parents[2] / "weights/README.md"
    assert digest in weights.read_text(encoding="utf-8")


def test_how_to_get_names_the_first_folder(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url = CATALOGUE["bvlc_alexnet"].downloads[0].url
    assert how_to_get("bvlc_alexnet") == f"download {url} into {places['chosen']}"
    monkeypatch.delenv("FINETUNE_WEIGHTS")
    assert how_to_get("bvlc_alexnet") == f"download {url} into {places['here']}"
