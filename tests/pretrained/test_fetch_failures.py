"""Fetching that fails: one clear line, and no incomplete file gets the name of the weights."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http_server import Publish, Server, names

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights
from finetune.pretrained import fetch
from finetune.pretrained.locate import find
from finetune.pretrained.resolve import resolve
from finetune.system import http


def test_wrong_digest_deletes_the_download(server: Server, publish: Publish, cache: Path) -> None:
    publish(digest="sha256:" + 64 * "0")
    with pytest.raises(WeightsError, match="its content is wrong and was deleted: expected sha256:0000") as caught:
        fetch.fetch("tiny")
    assert hashlib.sha256(server.content).hexdigest() in str(caught.value)
    assert names(cache) == set()


def test_wrong_size_is_seen_before_the_download(server: Server, publish: Publish, cache: Path) -> None:
    publish(size=17)
    with pytest.raises(WeightsError, match=rf"it offers {len(server.content):,} bytes, expected 17"):
        fetch.fetch("tiny")
    assert names(cache) == set()


def test_content_that_does_not_fit_is_deleted(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path
) -> None:
    monkeypatch.setattr(server, "content", b"<html>Sign in to the guest network</html>")
    publish(digest=None)
    with pytest.raises(WeightsError, match="it is a web page; download the file itself"):
        fetch.fetch("tiny")
    assert names(cache) == set()


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"status": 404}, "the server answers 404"),
        ({"location": "/again", "redirects": 9}, "it redirects more than 5 times"),
        ({"location": "http://[", "redirects": 1}, "the address is invalid"),
        ({"location": "ftp://a/b", "redirects": 1}, "expected an address with http or https, but it redirects to 'ftp://a/b'"),
        ({"silent": True}, "no answer within 0 s"),
    ],
)  # fmt: skip
def test_a_server_that_does_not_give_the_file(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path, behaviour: Any, message: str
) -> None:
    monkeypatch.setattr(fetch, "SILENCE_SECONDS", 0.3)
    for name, value in behaviour.items():
        monkeypatch.setattr(server, name, value)
    publish()
    with pytest.raises(WeightsError) as caught:
        fetch.fetch("tiny")
    address = server.url.removeprefix("http://")
    assert str(caught.value) == (
        f"weights 'tiny' are not on this machine and cannot be fetched ({address}: {message}); "
        f"download {server.url}/tiny.npy into {Path('weights').absolute()}"
    )
    assert len(server.requests) <= 6
    assert names(cache) == set()


@pytest.fixture
def closed_port() -> str:
    """A URL without a server: nothing listens on port 1."""
    return "http://127.0.0.1:1/tiny.npy"


def test_no_route(publish: Publish, cache: Path, closed_port: str) -> None:
    publish(closed_port)
    with pytest.raises(
        WeightsError, match=r"cannot be fetched \(127\.0\.0\.1:1: not reached \(Connection refused\)\); download"
    ):
        fetch.fetch("tiny")


def test_no_answer_to_a_connection(monkeypatch: pytest.MonkeyPatch, publish: Publish, cache: Path) -> None:
    """A firewall that drops packets, or a name lookup that hangs: all servers together are waited for only once."""
    over = threading.Event()

    def hang(*_: Any) -> None:
        over.wait(30)
        raise TimeoutError

    monkeypatch.setattr(http.socket, "create_connection", hang)
    monkeypatch.setattr(http, "CONNECT_SECONDS", 0.2)
    publish("a.npy", "b.npy", "c.npy")
    started = fetch.time.monotonic()
    with pytest.raises(WeightsError, match=r"no connection within 0 s; .*no connection within 0 s"):
        fetch.fetch("tiny")
    assert fetch.time.monotonic() - started < 0.5
    over.set()


def test_the_next_address_is_tried_and_the_failure_reported(
    server: Server, publish: Publish, cache: Path, closed_port: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish(closed_port, "tiny.npy")
    assert read_weights(fetch.fetch("tiny")).metadata["weights"]["source"] == f"{server.url}/tiny.npy"
    address = server.url.removeprefix("http://")
    assert caplog.messages == [f"127.0.0.1:1: not reached (Connection refused); trying {address}"]


def test_a_connection_that_breaks_before_the_first_byte(
    server: Server, publish: Publish, cache: Path, closed_port: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The next address is tried, and each failure is reported once."""
    publish(closed_port, "first.npy", "tiny.npy")
    server.cut_after = 0
    assert fetch.fetch("tiny").is_file()
    address = server.url.removeprefix("http://")
    assert caplog.messages == [
        f"127.0.0.1:1: not reached (Connection refused); trying {address}",
        f"{address}: the connection broke; trying {address}",
    ]


def test_a_server_that_resumes_elsewhere(server: Server, publish: Publish, cache: Path) -> None:
    publish()
    cache.mkdir(parents=True)
    (cache / ".tiny.npy.part").write_bytes(server.content[:500])
    server.shift = -100
    with pytest.raises(WeightsError, match=r"the server resumes at byte 400, but 500 was requested"):
        fetch.fetch("tiny")
    assert (cache / ".tiny.npy.part").read_bytes() == server.content[:500]


def test_a_missing_package_is_reported_before_the_download(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path
) -> None:
    monkeypatch.setattr(fetch, "find_spec", lambda _: None)
    publish("tiny.onnx")
    with pytest.raises(WeightsError, match=r"127.0.0.1:\d+: reading it needs onnx; pip install 'onnx>=1.16'"):
        fetch.fetch("tiny")
    assert server.requests == []


def test_offline_never_tries(monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path) -> None:
    publish()
    monkeypatch.setenv("FINETUNE_OFFLINE", "1")
    with pytest.raises(
        WeightsError,
        match=r"not fetched because FINETUNE_OFFLINE is set; unset it, or download http://127.0.0.1:\d+/tiny",
    ):
        fetch.fetch("tiny")
    assert server.requests == []
    assert not cache.exists()


def test_the_advice_for_a_name_given_explicitly(publish: Publish, cache: Path, closed_port: str) -> None:
    publish(closed_port)
    with pytest.raises(WeightsError, match=r"; or use --weights starter, which needs no download$"):
        resolve("tiny")


def test_starter_without_its_file(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(fetch, "find", lambda _: None)
    with pytest.raises(WeightsError, match="part of this package, but their file is missing; reinstall finetune"):
        fetch.fetch("starter")


def test_folder_that_cannot_be_written(publish: Publish, cache: Path) -> None:
    publish()
    cache.parent.mkdir(parents=True)
    cache.write_text("a file")
    with pytest.raises(WeightsError, match=r"weights cannot be written \(File exists\); make it a folder that you own"):
        fetch.fetch("tiny")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB: the weights fit once."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", disk]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)  # a log record may still hold a mapped file


def test_full_disk(
    monkeypatch: pytest.MonkeyPatch, server: Server, publish: Publish, cache: Path, small_disk: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    (small_disk / "finetune/weights").mkdir(parents=True)
    other = small_disk / "finetune/weights/bvlc_alexnet.npy"
    other.write_bytes(8_000_000 * b"p")
    publish()
    with pytest.raises(
        WeightsError, match=r"^the disk is full: tiny\.npy does not fit into .*; free some space and run the"
    ):
        fetch.fetch("tiny")
    assert names(other.parent) == {"bvlc_alexnet.npy"}
    assert other.read_bytes() == 8_000_000 * b"p"


def test_disk_full_on_conversion_keeps_the_original(
    monkeypatch: pytest.MonkeyPatch, publish: Publish, cache: Path, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(small_disk))
    publish()
    path = fetch.fetch("tiny")
    assert path == small_disk / "finetune/weights/tiny.npy"
    assert names(path.parent) == {"tiny.npy"}
    assert "(No space left on device)" in caplog.text
    assert "; keeping tiny.npy as it is, which loads more slowly" in caplog.text
    assert find("tiny") == path
