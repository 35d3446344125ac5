"""Run an app on a port of this machine until Ctrl-C."""

import asyncio
import logging
import signal
import socket
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from finetune.errors import UsageError

logger = logging.getLogger(__name__)

SILENT_SECONDS = 30.0  # a connection without a request for so long is closed
MOST_CONNECTIONS = 512  # a process may usually open 1,024 files


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on the host, an address or a name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(host: str, listener: socket.socket, token: str | None, path: str = "/") -> str:
    """Return the URL of a page; a token is in its fragment, which browsers do not send."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}{path}" + (f"#token={quote(token)}" if token else "")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise UsageError if the port is in use or the host is not of this machine."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By name: asyncio sends small answers at once (TCP_NODELAY) only from such a socket, otherwise 40 ms later.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed is free
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise UsageError(f"cannot listen on {host}, port {port} ({reason}); give another --port or --host") from None
    listener.listen(128)
    return listener


def run(app: FastAPI, listener: socket.socket) -> None:
    """Answer requests until Ctrl-C or SIGTERM, and finish those that are being answered.

    Another Ctrl-C after that ends the program at once: then nothing is left to finish but TensorFlow's import.
    """
    with suppress(KeyboardInterrupt):  # uvicorn raises it when all is finished
        server_of(app).run(sockets=[listener])
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def server_of(app: FastAPI) -> uvicorn.Server:
    """Return the server of an app, with its limits; garbage from clients is not worth a line of the log each."""
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            log_config=None,
            log_level=logging.CRITICAL,  # `Guard` logs our own errors
            limit_concurrency=MOST_CONNECTIONS,
            timeout_keep_alive=int(SILENT_SECONDS),
            timeout_graceful_shutdown=3,
            server_header=False,
        )
    )


class _Connection(H11Protocol):
    """A connection that is closed if no request begins for SILENT_SECONDS: uvicorn waits for ever for a first one."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(SILENT_SECONDS, self._close_if_silent, None)

    def _close_if_silent(self, last: object) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is last and (last is None or self.cycle.response_complete):
            self.transport.abort()
        else:
            self.loop.call_later(SILENT_SECONDS, self._close_if_silent, self.cycle)
