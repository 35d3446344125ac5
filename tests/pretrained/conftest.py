"""A server on loopback that publishes small weights, and a cache of its own for every test that fetches them."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.http_server import Publish, Server, answer

from finetune.formats.npy_file import write_npy
from finetune.model import Model
from finetune.pretrained import catalogue
from finetune.pretrained.catalogue import Entry, Source


@pytest.fixture(scope="session")
def content(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Weights as somebody publishes them: 9 MB."""
    path = tmp_path_factory.mktemp("published") / "tiny.npy"
    write_npy(path, tiny_model.weights)
    return path.read_bytes()


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    state = Server(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, state)

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # those who fetch may hang up
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    yield state
    state.released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that fetched files land in; nothing is found elsewhere, and fetching is allowed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FINETUNE_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "finetune" / "weights"


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, server: Server) -> Publish:
    """Return a function that makes `tiny` an entry of the catalogue; its sources are paths on the server or URLs."""

    def put(*sources: str, digest: str | None = "sha256", size: int | None = None) -> None:
        if digest == "sha256":
            digest = f"sha256:{hashlib.sha256(server.content).hexdigest()}"
        urls = [url if "://" in url else f"{server.url}/{url}" for url in sources or ("tiny.npy",)]
        listed = tuple(Source(url, url.rpartition("/")[2], size, digest) for url in urls)
        entry = Entry("tiny", "alexnet", 3, listed, "none", None, None)
        monkeypatch.setitem(catalogue.CATALOGUE, "tiny", entry)

    return put
