"""Images from the web: a real server on loopback, and every limit."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from support.http_server import Server, running

from finetune.data import urls
from finetune.data.urls import is_url, read_url
from finetune.errors import ImageError

CONTENT = bytes(range(256)) * 10


@pytest.fixture
def server() -> Iterator[Server]:
    with running(CONTENT) as state:
        yield state


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def message(url: str) -> str:
    with pytest.raises(ImageError) as raised:
        read_url(url)
    return str(raised.value)


def test_content(server: Server) -> None:
    assert read_url(f"{server.url}/a.jpg") == CONTENT
    assert read_url(server.url.replace("http", "HTTP")) == CONTENT
    assert server.requests == [("/a.jpg", None), ("/", None)]


def test_five_redirects_are_followed_and_no_more(server: Server) -> None:
    server.location, server.redirects = "/again", 5
    assert read_url(server.url) == CONTENT
    server.redirects = 6
    assert message(server.url) == "cannot be fetched (it redirects more than 5 times)"


@pytest.mark.parametrize("place", ["file:///etc/hosts", "ftp://127.0.0.1/x.jpg", "data:image/png;base64,AAAA"])
def test_a_redirect_to_another_scheme_is_refused(server: Server, place: str) -> None:
    server.location, server.redirects = place, 1
    expected = f"cannot be fetched (expected an address with http or https, but it redirects to {place!r})"
    assert message(server.url) == expected


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://127.0.0.1/x.jpg", "expected an address with http or https, got 'ftp'"),
        ("file:///etc/hosts", "expected an address with http or https, got 'file'"),
        ("http://", "the address is invalid"),
        ("http://[::1/x", "the address is invalid"),
        ("http://\udcff.example/", "the address is invalid"),
        ("http://127.0.0.1:1/x.jpg", "no connection"),
    ],
)
def test_addresses_that_cannot_be_fetched(url: str, reason: str) -> None:
    assert message(url) == f"cannot be fetched ({reason})"


@pytest.mark.parametrize("status", [204, 404, 500])
def test_any_status_but_200(server: Server, status: int) -> None:
    server.status = status
    assert message(server.url) == f"the server answers {status}, expected 200"


def test_limit_of_size(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "MAX_BYTES", len(CONTENT))
    assert read_url(server.url) == CONTENT
    monkeypatch.setattr(urls, "MAX_BYTES", len(CONTENT) - 1)
    assert message(server.url) == "more than the limit of 0 MB; fetch and shrink it yourself"


@pytest.mark.parametrize("behaviour", ["silent", "slow"])
def test_limit_of_time(server: Server, behaviour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "TOTAL_SECONDS", 0.3)
    setattr(server, behaviour, 1)
    assert message(server.url) in (
        "no complete answer within 0 s; try again later",
        "cannot be fetched (no answer within 0 s)",
    )


def test_a_connection_that_breaks(server: Server) -> None:
    server.cut_after = 2000
    assert message(server.url) in (
        "cannot be fetched (the connection broke)",
        "the connection broke after 2,000 of 2,560 bytes; try again",
    )


def test_offline_nothing_is_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_OFFLINE", "1")
    assert message(server.url) == "not fetched because FINETUNE_OFFLINE is set; unset it"
    assert server.requests == []


def test_is_url() -> None:
    assert all(map(is_url, ("http://x", "HTTPS://x", "ftp://x", "s3+x://y")))
    assert not any(map(is_url, ("photo.jpg", "a/b://c", "C://photo.jpg", "http:/x", "://x", "")))


def test_the_http_library_is_loaded_only_to_fetch() -> None:
    script = "import sys, finetune.data.urls; print(sorted({'requests', 'urllib3'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_slow_download_is_given_up_in_the_background_too(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "TOTAL_SECONDS", 0.3)
    server.content, server.slow = bytes(50_000_000), 100_000
    assert message(server.url) == "no complete answer within 0 s; try again later"
    end = time.monotonic() + 5
    while any(isinstance(thread, urls._Fetching) for thread in threading.enumerate()):
        assert time.monotonic() < end, "it still receives bytes"
        time.sleep(0.02)
