"""A real server on loopback that can misbehave in the ways servers do."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path

Publish = Callable[..., None]


@dataclass
class Server:
    """What the server offers and how it behaves; `requests` is what it was asked, with the Range."""

    content: bytes = field(repr=False)
    url: str = ""
    cut_after: int | None = None  # bytes, then the connection closes; one request only
    ignore_range: bool = False
    status: int = 200
    location: str | None = None
    silent: bool = False
    modified: str = formatdate(1_000_000_000, usegmt=True)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


def answer(request: BaseHTTPRequestHandler, state: Server) -> None:
    asked = request.headers.get("Range")
    state.requests.append((request.path, asked))
    if state.silent:
        state.released.wait(30)
        return
    if state.location is not None:
        request.send_response(302)
        request.send_header("Location", state.location)
        request.end_headers()
        return
    whole, start = len(state.content), 0
    unchanged = request.headers.get("If-Range") in (None, state.modified)
    if state.status != 200:
        request.send_response(state.status)
    elif asked and unchanged and not state.ignore_range:
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
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
    cut, state.cut_after = state.cut_after, None
    request.wfile.write(body[:cut])


def names(folder: Path) -> set[str]:
    """Return what lies in a folder, the locks aside, which stay."""
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}
