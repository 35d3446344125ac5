"""The catalogue: its facts, and where its files are looked for."""

import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile
from finetune.networks import NETWORKS, build
from finetune.pretrained.catalogue import CATALOGUE, FALLBACK, PUBLISHED, described, find, resolve

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}|sha256-prefix:[0-9a-f]{8}")


@pytest.mark.parametrize("name", CATALOGUE)
def test_entry_is_complete(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.network in NETWORKS
    assert entry.licence
    assert (entry.top1 is None) == (entry.top5 is None)
    assert entry.files[0] == f"{name}.safetensors"
    for source in entry.sources:
        url = urlsplit(source.url)
        assert url.scheme in ("http", "https")
        assert url.path.endswith(f"/{source.file}")
        assert source.digest is None or DIGEST.fullmatch(source.digest)
    assert (entry.packaged_digest is None) == bool(entry.sources)
    digests = [source.digest is not None for source in entry.sources]
    assert digests == sorted(digests, reverse=True), "those with a digest come first"


def test_facts_of_the_publishers() -> None:
    facts = {source.file: (source.size, source.digest) for entry in CATALOGUE.values() for source in entry.sources}
    assert facts == {
        "bvlc_alexnet.caffemodel": (None, "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        "bvlcalexnet-12.onnx": (
            243_863_787,
            "sha256:6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
        ),
        "bvlc_alexnet.npy": (None, None),
        "bvlc_reference_caffenet.caffemodel": (None, "sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        "caffenet-12.onnx": (
            243_863_798,
            "sha256:ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
        ),
        "alexnet-owt-7be5be79.pth": (244_408_911, "sha256-prefix:7be5be79"),
        "vgg16-397923af.pth": (553_433_881, "sha256-prefix:397923af"),
        "vgg16-12.onnx": (
            553_437_752,
            "sha256:722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
        ),
    }


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.sources])
def test_sizes_are_those_of_the_network(name: str) -> None:
    """A published file is its weights in float32 and at most 0.1 % around them."""
    entry = CATALOGUE[name]
    weights = 4 * build(entry.network, {"num_classes": entry.num_classes}).parameters()
    for source in entry.sources:
        assert source.size is None or weights < source.size < 1.001 * weights


def test_published_and_fallback_belong_to_their_networks() -> None:
    for network, name in [*PUBLISHED.items(), *FALLBACK.items()]:
        assert CATALOGUE[name].network == network


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """The folders that are looked into, under a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINETUNE_WEIGHTS", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return {
        "chosen": tmp_path / "chosen",
        "here": tmp_path / "weights",
        "cache": tmp_path / "cache/finetune/weights",
    }


def test_order_of_the_folders(places: dict[str, Path]) -> None:
    for place in ("cache", "here", "chosen"):
        places[place].mkdir(parents=True)
        path = places[place] / "bvlc_alexnet.npy"
        path.touch()
        found, name = resolve("bvlc_alexnet")
        assert (found.absolute(), name) == (path, "bvlc_alexnet")


@pytest.mark.parametrize("file", ["bvlc_alexnet.caffemodel", "bvlcalexnet-12.onnx", "bvlc_alexnet.npy"])
def test_every_file_of_an_entry_is_found_and_safetensors_first(places: dict[str, Path], file: str) -> None:
    places["here"].mkdir()
    (places["here"] / file).touch()
    assert find("bvlc_alexnet") == Path("weights", file)
    (places["here"] / "bvlc_alexnet.safetensors").touch()
    assert find("bvlc_alexnet") == Path("weights/bvlc_alexnet.safetensors")


def test_name_that_is_nowhere_offline(places: dict[str, Path]) -> None:
    for name, at_once in (
        ("bvlc_alexnet", "--weights starter works at once"),
        ("torchvision_vgg16", "--weights none trains from scratch at once"),
    ):
        with pytest.raises(WeightsError) as caught:
            resolve(name)
        assert str(caught.value) == (
            f"weights {name!r} are not on this machine and not fetched, since FINETUNE_OFFLINE is set; "
            f"get {CATALOGUE[name].source} and put it into {places['chosen']}, or unset it; {at_once}"
        )


def test_starter_is_there(places: dict[str, Path]) -> None:
    path, name = resolve("starter")
    assert (path.name, name) == ("starter.safetensors", "starter")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert CATALOGUE["starter"].digest == f"sha256:{digest}"
    weights = Path(__file__).parents[2] / "weights/README.md"
    assert digest in weights.read_text(encoding="utf-8")


def test_the_names_for_the_help_are_all_there_are() -> None:
    assert tuple(CATALOGUE) == WEIGHTS_NAMES
    assert tuple(NETWORKS) == NETWORK_NAMES


def test_paths(tmp_path: Path) -> None:
    (tmp_path / "mine.npy").touch()
    assert resolve(str(tmp_path / "mine.npy")) == (tmp_path / "mine.npy", "mine.npy")
    with pytest.raises(WeightsError, match="is a folder; name the file in it"):
        resolve(str(tmp_path))
    with pytest.raises(
        WeightsError, match=r"no such file, and no such name \(did you mean bvlc_alexnet\?\); the names are"
    ):
        resolve("bvlc_alexnt")


def test_described() -> None:
    """The catalogue knows what a file does not tell; a file of our own tells all."""
    file = WeightsFile(Path("x.onnx"), "onnx", {})
    known = described(file, "vgg16")
    assert known.network == "vgg16"
    assert known.metadata["preprocessing"]["channel_order"] == "RGB"
    assert described(file, "bvlc_caffenet").network == "caffenet"
    assert described(file, "bvlc_caffenet").metadata == {}
    assert described(file, "x.onnx") is file
    own = WeightsFile(Path("x.safetensors"), "safetensors", {}, metadata={"options": {}})
    assert described(own, "vgg16") is own
