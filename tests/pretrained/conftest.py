"""A server on loopback that publishes small weights, and an empty cache for every test that fetches them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http_server import Publish, Server, running

from finetune.formats.npy_file import write_npy
from finetune.model import Model
from finetune.pretrained import catalogue
from finetune.pretrained.catalogue import Download, Entry


@pytest.fixture(scope="session")
def content(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights as they are published: 9 MB."""
    path = tmp_path_factory.mktemp("published") / "tiny.npy"
    write_npy(path, tiny_model.weights)
    return path.read_bytes()


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    with running(content) as state:
        yield state


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder for fetched files; nothing is found elsewhere, and fetching is allowed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FINETUNE_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "finetune" / "weights"


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, server: Server) -> Publish:
    """Return a function that adds `tiny` to the catalogue; its addresses are paths on the server or URLs."""

    def put(*addresses: str, digest: str | None = "sha256", size: int | None = None) -> None:
        if digest == "sha256":
            digest = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
        urls = [url if "://" in url else f"{server.url}/{url}" for url in addresses or ("tiny.npy",)]
        downloads = tuple(Download(url, url.rpartition("/")[2], size, digest) for url in urls)
        entry = Entry("tiny", "alexnet", 3, downloads, "none", None, None)
        monkeypatch.setitem(catalogue.CATALOGUE, "tiny", entry)

    return put
