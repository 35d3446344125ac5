"""Who may ask and how much: checked for every request before it reaches a route.

A page of another site must not reach this server through the browser of who visits it: its POST is recognised by its
Origin, and a site that gave its own name this machine's address (DNS rebinding) by the Host that it asks for.
"""

import asyncio
import hmac
import logging
import time
from ipaddress import ip_address

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
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

    `token`: what every request below /v1 and for /metrics has to present as `Authorization: Bearer TOKEN`. With None,
    a request has to ask for localhost or an IP address, and no page of another site may send one.
    """

    def __init__(self, app: ASGIApp, token: str | None, counts: RequestCounts) -> None:
        self._app = app
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
                self._refuse(scope)
                await self._app(scope, request.receive, request.send)
        except HTTPException as error:
            await request.refuse(scope, error)
        except TimeoutError:
            await request.refuse(scope, unavailable(f"not answered within {MOST_SECONDS:.0f} s; send less at once"))
        except ClientDisconnect:
            pass
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            logger.warning("unexpected %s; this is a bug in finetune, please report it (-v shows where)", what)
            logger.debug("%s %s", scope["method"], scope["path"], exc_info=error)
            await request.refuse(scope, HTTPException(500, "an unexpected error; the log of the server has more"))
        finally:
            self._held -= request.held
            route = getattr(scope.get("route"), "path", "other")  # clients cannot invent names
            self._counts.add(route, request.status, time.perf_counter() - started)

    def hold(self, count: int) -> None:
        """Count bytes as held; raise HTTPException if all requests together hold too many."""
        if self._held + count > MOST_BYTES_AT_ONCE:
            raise unavailable("the server holds as many images as it can; try again")
        self._held += count

    def _refuse(self, scope: Scope) -> None:
        """Raise HTTPException for a request that must not be answered."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if self._token is None:
            _refuse_foreign(scope["method"], headers)
        elif scope["path"].startswith("/v1/") or scope["path"] == "/metrics":
            given = headers.get("authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode("latin-1"), self._token.encode()):
                challenge = {"WWW-Authenticate": "Bearer"}
                raise HTTPException(401, "expected the header Authorization: Bearer TOKEN, as of --token", challenge)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > MOST_BYTES:
            raise _too_large()


def _refuse_foreign(method: str, headers: dict[str, str]) -> None:
    """Raise HTTPException for a request that a page of another site made the visitor's browser send."""
    host, origin = headers.get("host", ""), headers.get("origin")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() != "localhost" and not _is_address(name):  # a name may be another's that now has our address
        raise HTTPException(421, f"this server is localhost, not {host[:100]!r}; ask for that, or set --token")
    if method not in SAFE and origin not in (None, f"http://{host}", f"https://{host}"):
        raise HTTPException(403, "a page of another site must not use this server")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


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

    async def refuse(self, scope: Scope, error: HTTPException) -> None:
        """Send an error, unless an answer has begun; the server discards what the client still sends."""
        if not self.status:
            await JSONResponse({"error": error.detail}, error.status_code, error.headers)(
                scope, self._receive, self.send
            )


def _too_large() -> HTTPException:
    return HTTPException(413, f"more than the limit of {MOST_BYTES // 10**6} MB; send fewer or smaller images")


def unavailable(why: str) -> HTTPException:
    """Return the error after which a client should ask again a little later."""
    return HTTPException(503, why, {"Retry-After": str(RETRY_SECONDS)})
