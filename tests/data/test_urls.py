"""Pictures from the web: a real server on loopback, and every limit."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from finetune.data import urls
from finetune.data.urls import is_url, read_url
from finetune.errors import ImageError

CONTENT = bytes(range(256)) * 10


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "redirects":  # so many, then the content
            self.redirect(f"/redirects/{int(rest) - 1}" if int(rest) > 1 else "/content")
        elif kind == "to":
            self.redirect(rest)
        elif kind == "status":
            self.answer(int(rest), b"<html>not here</html>")
        elif kind == "cut":
            self.answer(200, CONTENT, length=len(CONTENT) + 1)
        elif kind == "drip":  # headers, then a byte now and then
            self.answer(200, b"", length=len(CONTENT))
            while not released.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        elif kind == "silent":
            released.wait(30)
        else:
            self.answer(200, CONTENT)

    def redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()

    def answer(self, status: int, body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


released = threading.Event()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    released.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # those who fetch may hang up
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    released.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETUNE_OFFLINE")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_content(server: str) -> None:
    assert read_url(f"{server}/content") == CONTENT
    assert read_url(server.replace("http", "HTTP")) == CONTENT


def test_five_redirects_are_followed_and_no_more(server: str) -> None:
    assert read_url(f"{server}/redirects/5") == CONTENT
    with pytest.raises(ImageError, match=r"^it redirects more than 5 times$"):
        read_url(f"{server}/redirects/6")


@pytest.mark.parametrize("place", ["file:///etc/hosts", "ftp://127.0.0.1/x.jpg", "data:image/png;base64,AAAA"])
def test_a_redirect_to_another_scheme_is_refused(server: str, place: str) -> None:
    with pytest.raises(ImageError, match=r"^expected an address with http or https, it redirects to '"):
        read_url(f"{server}/to/{place}")


def test_never_from_https_to_http(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Answer(SimpleNamespace):
        def __enter__(self) -> "Answer":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    def get(url: str, **_: object) -> Answer:
        asked.append(url)
        return Answer(is_redirect=True, headers={"Location": "http://example.org/x.jpg"})

    monkeypatch.setattr(urls.requests, "get", get)
    with pytest.raises(ImageError, match=r"^expected an address with https, it redirects to 'http://example"):
        read_url("https://example.org/x.jpg")
    assert asked == ["https://example.org/x.jpg"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://127.0.0.1/x.jpg", "expected an address with http or https, 'ftp' came"),
        ("file:///etc/hosts", "expected an address with http or https, 'file' came"),
        ("http://", "cannot be fetched (this is no address)"),
        ("http://[::1/x", "cannot be fetched (this is no address)"),
        ("http://\udcff.example/", "cannot be fetched (this is no address)"),
    ],
)
def test_what_is_no_address(url: str, message: str) -> None:
    with pytest.raises(ImageError) as raised:
        read_url(url)
    assert str(raised.value) == message


def test_any_answer_but_200(server: str) -> None:
    for status in (204, 404, 500):
        with pytest.raises(ImageError, match=rf"^the server answers {status}, expected 200$"):
            read_url(f"{server}/status/{status}")


def test_limit_of_size(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "MAX_BYTES", len(CONTENT))
    assert read_url(f"{server}/content") == CONTENT
    monkeypatch.setattr(urls, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(ImageError, match=r"^more than the limit of 0 MB; fetch and shrink it yourself$"):
        read_url(f"{server}/content")


@pytest.mark.parametrize("path", ["silent", "drip"])
def test_limit_of_time(server: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urls, "TOTAL_SECONDS", 0.3)
    with pytest.raises(ImageError, match=r"no (whole )?answer within 0 s"):
        read_url(f"{server}/{path}")


def test_broken_connections(server: str) -> None:
    with pytest.raises(ImageError, match=r"^cannot be fetched \(the connection broke\)$|^the connection broke after"):
        read_url(f"{server}/cut")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ImageError, match=r"^cannot be fetched \(no connection\)$"):
        read_url(f"http://127.0.0.1:{port}/x.jpg")


def test_offline_fetches_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINETUNE_OFFLINE", "1")
    with pytest.raises(ImageError, match=r"^not fetched, since FINETUNE_OFFLINE is set; unset it$"):
        read_url(server)


def test_what_looks_like_a_url() -> None:
    assert all(map(is_url, ("http://x", "HTTPS://x", "ftp://x", "s3+x://y")))
    assert not any(map(is_url, ("photo.jpg", "a/b://c", "C://photo.jpg", "http:/x", "://x", "")))
