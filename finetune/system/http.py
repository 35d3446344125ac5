"""HTTP under one set of rules: switched off by FINETUNE_OFFLINE, limited in time, never from https to http.

With requests, which knows the machine's proxies and certificates. It is imported inside the functions that connect,
since most commands never do.
"""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS = 5.0
MAX_REDIRECTS = 5
PIECE = 1 << 16  # bytes
_HEADERS = {"User-Agent": "finetune", "Accept-Encoding": "identity"}  # not compressed, so that sizes can be compared


class HttpError(Exception):
    """The request failed; the text gives the reason in a few words."""


@dataclass(frozen=True)
class Answer:
    """The answer to a request: status code, headers, and the content, which is read as the pieces are used."""

    status: int
    headers: Mapping[str, str]
    pieces: Iterator[bytes]


def offline() -> bool:
    """Return whether FINETUNE_OFFLINE forbids every connection."""
    return os.environ.get("FINETUNE_OFFLINE", "0") not in ("", "0")


@contextmanager
def get(url: str, silence: float, headers: Mapping[str, str] | None = None) -> Iterator[Answer]:
    """Yield the answer at the end of at most five redirects, none of which leads from https to http.

    `silence`: seconds without a byte before it gives up. Raises HttpError for another scheme and for every failure of
    the connection, while the content is read too; a status other than 200 is not an error.
    """
    import requests

    with requests.Session() as session:
        try:
            response = _follow(session, url, {**_HEADERS, **(headers or {})}, silence)
        except (OSError, ValueError) as error:  # every error of requests; an invalid address raises others, too
            raise HttpError(_reason(error, silence)) from None
        with response:
            yield Answer(response.status_code, response.headers, _pieces(response))


def _follow(session: "requests.Session", url: str, headers: dict[str, str], silence: float) -> "requests.Response":
    """Return the response that is not a redirect, its content not yet read."""
    found, admitted = url, ["http", "https"]
    for _ in range(MAX_REDIRECTS + 1):
        scheme = urlsplit(found).scheme.lower()
        if scheme not in admitted:
            came = f"got {scheme!a}" if found == url else f"but it redirects to {ascii(found)[:200]}"
            raise HttpError(f"expected an address with {' or '.join(admitted)}, {came}")
        if scheme == "https":
            admitted = ["https"]
        response = session.get(
            found, headers=headers, stream=True, allow_redirects=False, timeout=(CONNECT_SECONDS, silence)
        )
        if not response.is_redirect:
            return response
        response.close()
        found = urljoin(found, response.headers["Location"])
    raise HttpError(f"it redirects more than {MAX_REDIRECTS} times")


def _pieces(response: "requests.Response") -> Iterator[bytes]:
    try:
        yield from response.iter_content(PIECE)
    except (OSError, ValueError):
        raise HttpError("the connection broke") from None


def _reason(error: OSError | ValueError, silence: float) -> str:
    """Return the reason in a few words; the texts of requests fill several lines."""
    from requests import exceptions

    reasons = {
        exceptions.ConnectTimeout: f"no connection within {CONNECT_SECONDS:.0f} s",
        exceptions.ReadTimeout: f"no answer within {silence:.0f} s",
        exceptions.SSLError: "the server's certificate is not trusted",
        exceptions.ProxyError: "the proxy refuses",
        exceptions.ConnectionError: "no connection",
        ValueError: "the address is invalid",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "the connection broke")


class TrialConnection(threading.Thread):
    """Connects to the server of `url`, or to the proxy on the way there; `failure` is the reason, None on success.

    In a thread, because looking up a name has no time limit and several servers can be tried at once.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        from requests.utils import get_environ_proxies, prepend_scheme_if_needed, select_proxy

        self.failure: str | None = f"no connection within {CONNECT_SECONDS:.0f} s"
        proxy = select_proxy(url, get_environ_proxies(url))
        self._address = urlsplit(prepend_scheme_if_needed(proxy, "http") if proxy else url)
        self.start()

    def run(self) -> None:
        """Connect, and close the connection at once."""
        port = self._address.port or (443 if self._address.scheme == "https" else 80)
        try:
            socket.create_connection((self._address.hostname, port), CONNECT_SECONDS).close()
            self.failure = None
        except OSError as error:
            self.failure = f"not reached ({error.strerror or error})"
