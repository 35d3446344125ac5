"""The rules for HTTP, with a real server on loopback."""

import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from support.http_server import Server, running

from finetune.system import http

CONTENT = bytes(range(256)) * 1000  # several pieces


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running(CONTENT) as state:
        yield state


def reason(url: str, silence: float = 30) -> str:
    """Return the reason for which the whole answer cannot be read."""
    with pytest.raises(http.HttpError) as caught, http.get(url, silence) as answer:
        b"".join(answer.pieces)
    return str(caught.value)


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_offline(value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("FINETUNE_OFFLINE", value)
    assert http.offline() is expected


def test_status_headers_and_content(server: Server) -> None:
    with http.get(f"{server.url}/a", 30, {"Range": "bytes=1000-"}) as answer:
        assert answer.status == 206
        assert answer.headers["content-length"] == str(len(CONTENT) - 1000)
        assert b"".join(answer.pieces) == CONTENT[1000:]
    assert server.requests == [("/a", "bytes=1000-")]
    assert (server.headers[0]["User-Agent"], server.headers[0]["Accept-Encoding"]) == ("finetune", "identity")


def test_another_status_is_not_an_error(server: Server) -> None:
    server.status = 404
    with http.get(server.url, 30) as answer:
        assert (answer.status, b"".join(answer.pieces)) == (404, b"nothing here")


def test_an_error_of_the_caller_is_not_changed(server: Server) -> None:
    with pytest.raises(OSError, match="disk"), http.get(server.url, 30):
        raise OSError("disk")


def test_five_redirects_are_followed_and_no_more(server: Server) -> None:
    server.location, server.redirects = "/again", 5
    with http.get(f"{server.url}/a", 30, {"Range": "bytes=1000-"}) as answer:
        assert b"".join(answer.pieces) == CONTENT[1000:]
    assert server.requests == [("/a", "bytes=1000-")] + 5 * [("/again", "bytes=1000-")]
    server.redirects = 6
    assert reason(server.url) == "it redirects more than 5 times"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("ftp://a/b", "expected an address with http or https, but it redirects to 'ftp://a/b'"),
        ("file:///etc/hosts", "expected an address with http or https, but it redirects to 'file:///etc/hosts'"),
        ("http://[", "the address is invalid"),
    ],
)
def test_redirects_that_are_refused(server: Server, place: str, expected: str) -> None:
    server.location, server.redirects = place, 1
    assert reason(server.url) == expected


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["http://a/b"], "expected an address with https, but it redirects to 'http://a/b'"),
        (["https://b/c", "http://a/b"], "expected an address with https, but it redirects to 'http://a/b'"),
    ],
)
def test_never_from_https_to_http(places: list[str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(_: requests.Session, url: str, **options: Any) -> SimpleNamespace:
        assert options["timeout"] == (5, 30)
        asked.append(url)
        location = {"Location": places[len(asked) - 1]}
        return SimpleNamespace(is_redirect=True, headers=location, close=lambda: None)

    monkeypatch.setattr(requests.Session, "get", get)
    assert reason("https://example.org/x.jpg") == expected
    assert asked == ["https://example.org/x.jpg", *places[:-1]]


def test_from_http_to_https_and_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"http://a/b": "https://c/d", "https://c/d": "/e"}

    def get(_: requests.Session, url: str, **__: Any) -> SimpleNamespace:
        headers = {"Location": places.get(url, "")}
        return SimpleNamespace(is_redirect=url in places, headers=headers, close=lambda: None, url=url)

    monkeypatch.setattr(requests.Session, "get", get)
    with requests.Session() as session:
        assert http._follow(session, "http://a/b", {}, 30).url == "https://c/e"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.exceptions.ConnectTimeout(), "no connection within 5 s"),
        (requests.exceptions.ReadTimeout(), "no answer within 30 s"),
        (requests.exceptions.SSLError(), "the server's certificate is not trusted"),
        (requests.exceptions.ProxyError(), "the proxy refuses"),
        (requests.exceptions.ConnectionError(), "no connection"),
        (requests.exceptions.ChunkedEncodingError(), "the connection broke"),
        (requests.exceptions.InvalidURL(), "the address is invalid"),
        (UnicodeError(), "the address is invalid"),
        (OSError(), "the connection broke"),
    ],
)
def test_reasons_in_a_few_words(error: Exception, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "get", get)
    assert reason("https://example.org") == expected


def test_a_server_that_is_silent_or_hangs_up(server: Server) -> None:
    server.cut_after = 100_000
    assert reason(server.url) == "the connection broke"
    server.silent = True
    assert reason(server.url, silence=0.2) == "no answer within 0 s"


def test_a_probe_connects_or_says_why_not(server: Server) -> None:
    reached, closed = http.TrialConnection(server.url), http.TrialConnection("http://127.0.0.1:1/x")
    for probe in (reached, closed):
        probe.join(5)
    assert (reached.failure, closed.failure) == (None, "not reached (Connection refused)")
    assert server.requests == [], "it only connects"


def test_a_probe_that_gets_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_: Any) -> None:
        over.wait(30)
        raise TimeoutError

    monkeypatch.setattr(http.socket, "create_connection", hang)
    started = time.monotonic()
    probe = http.TrialConnection("http://127.0.0.1:1/x")
    probe.join(0.1)
    assert probe.failure == "no connection within 5 s"
    assert time.monotonic() - started < 2
    over.set()
    probe.join()


@pytest.mark.parametrize(
    ("url", "proxy", "address"),
    [
        ("http://a.example/x", None, ("a.example", 80)),
        ("https://a.example/x", None, ("a.example", 443)),
        ("https://a.example:8443/x", None, ("a.example", 8443)),
        ("https://a.example/x", "http://proxy.example:3128", ("proxy.example", 3128)),
        ("https://a.example/x", "proxy.example", ("proxy.example", 80)),
    ],
)
def test_a_probe_connects_to_the_proxy_where_there_is_one(
    url: str, proxy: str | None, address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Connection:
        def close(self) -> None:
            pass

    def connect(place: tuple[str, int], seconds: float) -> Connection:
        asked.append((place, seconds))
        return Connection()

    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setattr(http.socket, "create_connection", connect)
    probe = http.TrialConnection(url)
    probe.join(5)
    assert (probe.failure, asked) == (None, [(address, 5)])
