"""Who may ask and how much: checked for every request before it reaches a route.

A page of another site must not use the visitor's own browser to reach this server: its POST is recognised by its
Origin, and one that gave its own name this machine's address (DNS rebinding) by the Host that it asks for.
"""

import asyncio
import hmac
import logging
import time
from ipaddress import ip_address
from typing import Any

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from finetune.serving.counters import RequestCounts

logger = logging.getLogger(__name__)

MOST_BYTES = 64_000_000  # of a request; a photo has 2 to 20 MB
MOST_BYTES_AT_ONCE = 512_000_000  # of all requests that are being answered
MOST_SECONDS = 120.0  # from the first byte of a request to the last of its answer
RETRY_SECONDS = 1  # after which a client that was turned away should ask again

SAFE = ("GET", "HEAD", "OPTIONS")  # methods that change and compute nothing

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """An ASGI middleware: refuses what must not be answered, limits bytes and time, counts, adds HEADERS.

    `names`: host names, in addition to localhost and IP addresses, that this server goes by. `token`: what a request
    below /v1 and for /metrics has to present as `Authorization: Bearer TOKEN`; None lets everybody in.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str], token: str | None, counts: RequestCounts) -> None:
        self._app = app
        self._names = names
        self._token = token
        self._counts = counts
        self._held = 0  # bytes of the requests that are being answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Limited(self, receive, send)
        started = time.perf_counter()
        try:
            async with asyncio.timeout(MOST_SECONDS):
                if refusal := self._refusal(scope):
                    raise refusal
                await self._app(scope, request.receive, request.send)
        except HTTPException as error:
            await request.answer(scope, error)
        except TimeoutError:
            await request.answer(scope, HTTPException(503, f"not answered within {MOST_SECONDS:.0f} s; send less"))
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            logger.warning("unexpected %s; this is a bug in finetune, please report it (-v shows where)", what)
            logger.debug("%s %s", scope["method"], scope["path"], exc_info=error)
            await request.answer(scope, HTTPException(500, "an unexpected error; the server's log has it"))
        finally:
            self._held -= request.held
            route = getattr(scope.get("route"), "path", "other")
            self._counts.add(route, request.status, time.perf_counter() - started)

    def hold(self, count: int) -> None:
        """Count bytes as held; raise HTTPException if all requests together hold too many."""
        if self._held + count > MOST_BYTES_AT_ONCE:
            raise HTTPException(503, "the server holds as many images as it can; try again", _retry())
        self._held += count

    def _refusal(self, scope: Scope) -> HTTPException | None:
        """Return why a request must not be answered, if so."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if not self._is_ours(host):
            return HTTPException(421, f"this server is not {host[:100]!r}; ask for its address, or give that as --host")
        origin = headers.get("origin")
        if scope["method"] not in SAFE and origin not in (None, f"http://{host}", f"https://{host}"):
            return HTTPException(403, "a page of another site must not send images here")
        if int(headers.get("content-length", "0")) > MOST_BYTES:
            return _too_large()
        if self._token and (scope["path"].startswith("/v1/") or scope["path"] == "/metrics"):
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                challenge = {"WWW-Authenticate": "Bearer"}
                return HTTPException(401, "expected the header Authorization: Bearer TOKEN", challenge)
        return None

    def _is_ours(self, host: str) -> bool:
        name = (host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]).lower()
        if name == "localhost" or name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True  # an address cannot be rebound


class _Limited:
    """One request: its bytes are counted as they come, its answer gets HEADERS."""

    def __init__(self, guard: Guard, receive: Receive, send: Send) -> None:
        self.held = 0
        self.status = 0  # 0: the client left
        self._guard = guard
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        message = await self._receive()
        count = len(message.get("body", b""))
        if self.held + count > MOST_BYTES:
            raise _too_large()
        self._guard.hold(count)
        self.held += count
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = message.get("headers", ())
            names = {name.lower() for name, _ in given}
            message = {**message, "headers": [*given, *(each for each in _ENCODED if each[0] not in names)]}
        await self._send(message)

    async def answer(self, scope: Scope, error: HTTPException) -> None:
        """Send an error, unless an answer has begun, and close the connection, whose request may not be read."""
        if not self.status:
            headers = {**(error.headers or {}), "Connection": "close"}
            await JSONResponse({"error": error.detail}, error.status_code, headers)(scope, self._receive, self.send)


def _too_large() -> HTTPException:
    return HTTPException(413, f"more than the limit of {MOST_BYTES // 10**6} MB; send fewer or smaller images")


def _retry() -> dict[str, Any]:
    return {"Retry-After": str(RETRY_SECONDS)}
