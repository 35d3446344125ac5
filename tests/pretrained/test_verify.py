"""Files that are named like published weights, with and without their content."""

import hashlib
from pathlib import Path

import pytest
from support.http_server import Publish, Server

from finetune.formats.safetensors_file import write_safetensors
from finetune.model import Model
from finetune.pretrained.fetch import fetch
from finetune.pretrained.locate import find
from finetune.pretrained.verify import warn_if_unverified, why_unverified

NOT_STATED = "it states no download whose digest was verified"


def digest(content: bytes, kind: str) -> str:
    full = hashlib.new(kind.removesuffix("-prefix"), content).hexdigest()
    return f"{kind}:{full[:8] if kind.endswith('-prefix') else full}"


@pytest.mark.parametrize("kind", ["sha256", "sha1", "sha256-prefix"])
def test_the_published_digest_decides(kind: str, tmp_path: Path, publish: Publish) -> None:
    publish(digest=digest(b"the weights", kind))
    path = tmp_path / "tiny.npy"
    path.write_bytes(b"the weights")
    assert why_unverified(path) is None
    path.write_bytes(b"other weights")
    found, expected = (digest(content, kind).partition(":")[2][:8] for content in (b"other weights", b"the weights"))
    assert why_unverified(path) == f"its digest begins with {found}, the published one with {expected}"


def test_a_file_without_a_published_digest(tmp_path: Path, publish: Publish) -> None:
    publish(digest=None)
    path = tmp_path / "tiny.npy"
    path.write_bytes(b"the weights")
    assert why_unverified(path) == "no digest of it is published"


def test_another_name_is_not_verified(tmp_path: Path) -> None:
    assert why_unverified(tmp_path / "mine.npy") is None


def test_the_starter_is_verified(tmp_path: Path, tiny_weights: Path) -> None:
    starter = find("starter")
    assert starter
    assert why_unverified(starter) is None
    other = tmp_path / "starter.safetensors"
    other.write_bytes(tiny_weights.read_bytes())
    assert str(why_unverified(other)).startswith("its digest begins with ")


def test_what_fetch_wrote_is_verified_if_the_download_was(server: Server, publish: Publish, cache: Path) -> None:
    publish()
    path = fetch("tiny")
    assert path.name == "tiny.safetensors"
    assert why_unverified(path) is None
    publish(digest=None)
    assert why_unverified(path) == NOT_STATED


@pytest.mark.parametrize("noted", [None, "x", {}, {"source": None}, {"source": "http://host/x"}])
def test_a_file_that_fetch_did_not_write(noted: object, tiny_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "bvlc_alexnet.safetensors"
    write_safetensors(path, tiny_model.weights, {"weights": noted})
    assert why_unverified(path) == NOT_STATED


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    damaged = tmp_path / "bvlc_alexnet.safetensors"
    damaged.touch()
    for path in (damaged, tmp_path / "bvlc_alexnet.caffemodel"):
        assert why_unverified(path) == "it cannot be read"


def test_the_warning_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "bvlc_alexnet.npy"
    path.touch()
    warn_if_unverified(path)
    assert caplog.messages == [
        f"{path} is unverified: no digest of it is published; to get the published weights, rename it and run "
        "finetune weights fetch bvlc_alexnet"
    ]
    path.rename(tmp_path / "mine.npy")
    warn_if_unverified(tmp_path / "mine.npy")
    assert len(caplog.messages) == 1
