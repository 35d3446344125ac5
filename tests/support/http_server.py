"""A real server on loopback that can misbehave in the ways servers do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Publish = Callable[..., None]


@dataclass
class Server:
    """What the server offers and how it behaves; `requests` has the path and the Range of every request.

    `shift`: added to the position that a Range asks for. `cut_after`: bytes, after which the connection closes; one
    request only. `redirects`: how many requests are redirected to `location`. `silent`: no answer. `slow`: after the
    headers, so many bytes every 0.05 s.
    """

    content: bytes = field(repr=False)
    url: str = ""
    cut_after: int | None = None
    ignore_range: bool = False
    shift: int = 0
    status: int = 200
    location: str = ""
    redirects: int = 0
    silent: bool = False
    slow: int = 0
    modified: str = formatdate(1_000_000_000, usegmt=True)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@contextmanager
def running(content: bytes) -> Iterator[Server]:
    """Yield a server of `content` that runs in a thread until the block ends."""
    state = Server(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, state)

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client may hang up
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    try:
        yield state
    finally:
        state.released.set()
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def answer(request: BaseHTTPRequestHandler, state: Server) -> None:
    asked = request.headers.get("Range")
    state.requests.append((request.path, asked))
    state.headers.append(dict(request.headers))
    if state.silent:
        state.released.wait(30)
        return
    if state.redirects:
        state.redirects -= 1
        request.send_response(302)
        request.send_header("Location", state.location)
        request.end_headers()
        return
    body = _begin(request, state, asked)
    cut, state.cut_after = state.cut_after, None
    if state.slow:
        while not state.released.wait(0.05):
            request.wfile.write(b"x" * state.slow)
            request.wfile.flush()
    request.wfile.write(body[:cut])


def _begin(request: BaseHTTPRequestHandler, state: Server, asked: str | None) -> bytes:
    """Send status and headers, and return the body."""
    whole, start = len(state.content), 0
    unchanged = request.headers.get("If-Range") in (None, state.modified)
    if state.status != 200:
        request.send_response(state.status)
    elif asked and unchanged and not state.ignore_range:
        start = int(asked.removeprefix("bytes=").removesuffix("-")) + state.shift
        request.send_response(206 if start < whole else 416)
        request.send_header(
            "Content-Range", f"bytes {start}-{whole - 1}/{whole}" if start < whole else f"bytes */{whole}"
        )
    else:
        request.send_response(200)
    body = state.content[start:] if state.status == 200 else b"nothing here"
    request.send_header("Content-Length", str(len(body)))
    request.send_header("Last-Modified", state.modified)
    request.end_headers()
    return body


def names(folder: Path) -> set[str]:
    """Return the names of the files in a folder, without the locks, which stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}
