"""The catalogue: the facts that the publishers state."""

import re
from urllib.parse import urlsplit

import pytest

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES
from finetune.networks import NETWORKS, build
from finetune.pretrained.catalogue import CATALOGUE, FALLBACK, PUBLISHED, entry_of

DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha1:[0-9a-f]{40}|sha256-prefix:[0-9a-f]{8}")


@pytest.mark.parametrize("name", CATALOGUE)
def test_entry_is_complete(name: str) -> None:
    entry = CATALOGUE[name]
    assert entry.name == name
    assert entry.network in NETWORKS
    assert entry.licence
    assert (entry.top1 is None) == (entry.top5 is None)
    assert entry.files[0] == f"{name}.safetensors"
    for download in entry.downloads:
        url = urlsplit(download.url)
        assert url.scheme in ("http", "https")
        assert url.path.endswith(f"/{download.file}")
        assert download.digest is None or DIGEST.fullmatch(download.digest)
    assert (entry.packaged_digest is None) == bool(entry.downloads)
    digests = [download.digest is not None for download in entry.downloads]
    assert digests == sorted(digests, reverse=True), "those with a digest come first"


def test_facts_of_the_publishers() -> None:
    facts = {
        download.file: (download.size, download.digest) for entry in CATALOGUE.values() for download in entry.downloads
    }
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


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.downloads])
def test_sizes_are_those_of_the_network(name: str) -> None:
    """A published file holds the weights in float32, and at most 0.1 % more."""
    entry = CATALOGUE[name]
    weights = 4 * build(entry.network, {"num_classes": entry.num_classes}).parameters()
    for download in entry.downloads:
        assert download.size is None or weights < download.size < 1.001 * weights


def test_digest_and_source_are_those_of_the_first_download() -> None:
    entry = CATALOGUE["bvlc_alexnet"]
    assert entry.digest == "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377"
    assert entry.source == "http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel"
    starter = CATALOGUE["starter"]
    assert (starter.digest, starter.source) == (starter.packaged_digest, "part of this package")


def test_published_and_fallback_belong_to_their_networks() -> None:
    for network, name in [*PUBLISHED.items(), *FALLBACK.items()]:
        assert CATALOGUE[name].network == network


def test_the_names_for_the_help_are_complete() -> None:
    assert tuple(CATALOGUE) == WEIGHTS_NAMES
    assert tuple(NETWORKS) == NETWORK_NAMES


def test_entries_are_found_by_name_and_by_file() -> None:
    for name, entry in CATALOGUE.items():
        for known in (name, *entry.files):
            assert entry_of(known) is entry
    assert entry_of("mine.npy") is None
