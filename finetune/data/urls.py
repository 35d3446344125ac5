"""Fetch one picture from the web, within limits of time and size.

With requests, which knows the machine's proxies and certificates. Nothing is kept between calls, so that threads need
not share anything.
"""

import os
import re
import threading
import time
from urllib.parse import urljoin, urlsplit

import requests

from finetune.errors import ImageError

MAX_REDIRECTS = 5
MAX_BYTES = 64_000_000  # a JPEG of 100 megapixels, the most that is decoded, has about half
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 30.0  # from the look-up of the name to the last byte, redirects included
_PIECE = 1 << 16  # bytes
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")  # two letters at least: one is a drive of Windows


def is_url(name: str) -> bool:
    """Tell whether a name begins with a scheme, such as https://, whether or not `read_url` admits it."""
    return _SCHEME.match(name) is not None


def read_url(url: str) -> bytes:
    """Return what an http or https URL leads to, after five redirects at most; never from https to http.

    Raises ImageError, without the URL, for another scheme, any answer but 200, more than MAX_BYTES, or when it takes
    longer than TOTAL_SECONDS; and at once when FINETUNE_OFFLINE is set.
    """
    if os.environ.get("FINETUNE_OFFLINE", "0") not in ("", "0"):
        raise ImageError("not fetched, since FINETUNE_OFFLINE is set; unset it")
    fetching = _Fetching(url)
    fetching.start()
    fetching.join(TOTAL_SECONDS)
    if fetching.error is None and fetching.content is None:
        raise ImageError(f"no whole answer within {TOTAL_SECONDS:.0f} s; try again later")
    if fetching.error is not None:
        raise ImageError(fetching.error)
    return fetching.content or b""


class _Fetching(threading.Thread):
    """Fetches `url`. A thread, because looking up a name and reading the headers of an answer have no time limit."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.content: bytes | None = None
        self.error: str | None = None
        self._url = url
        self._deadline = time.monotonic() + TOTAL_SECONDS

    def run(self) -> None:
        try:
            self.content = self._follow()
        except ImageError as error:
            self.error = str(error)
        except (OSError, ValueError) as error:  # all of requests' errors, and what is no URL, in several ways
            self.error = f"cannot be fetched ({_reason(error)})"

    def _follow(self) -> bytes:
        """Return the content at the end of the redirects."""
        url, admitted = self._url, ["http", "https"]
        for _ in range(MAX_REDIRECTS + 1):
            scheme = urlsplit(url).scheme.lower()
            if scheme not in admitted:
                came = f"{scheme!a} came" if url == self._url else f"it redirects to {ascii(url)[:200]}"
                raise ImageError(f"expected an address with {' or '.join(admitted)}, {came}")
            with requests.get(
                url,
                headers={"Accept-Encoding": "identity", "User-Agent": "finetune"},
                stream=True,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, TOTAL_SECONDS),
            ) as response:
                if not response.is_redirect:
                    return self._content(response)
                url = urljoin(url, response.headers["Location"])
            admitted = ["https"] if scheme == "https" else admitted
        raise ImageError(f"it redirects more than {MAX_REDIRECTS} times")

    def _content(self, response: requests.Response) -> bytes:
        if response.status_code != 200:
            raise ImageError(f"the server answers {response.status_code}, expected 200")
        content = bytearray()
        for piece in response.iter_content(_PIECE):
            content += piece
            if len(content) > MAX_BYTES:
                raise ImageError(f"more than the limit of {MAX_BYTES // 10**6} MB; fetch and shrink it yourself")
            if time.monotonic() > self._deadline:
                raise ImageError(f"no whole answer within {TOTAL_SECONDS:.0f} s; try again later")
        stated = response.headers.get("Content-Length", "")
        if stated.isdecimal() and len(content) < int(stated):
            raise ImageError(f"the connection broke after {len(content):,} of {int(stated):,} bytes; try again")
        return bytes(content)


def _reason(error: OSError | ValueError) -> str:
    """Return in a few words why nothing came; the text of requests fills several lines."""
    reasons = {
        requests.exceptions.ConnectTimeout: f"no connection within {CONNECT_SECONDS:.0f} s",
        requests.exceptions.ReadTimeout: f"no answer within {TOTAL_SECONDS:.0f} s",
        requests.exceptions.SSLError: "the server's certificate is not trusted",
        requests.exceptions.ProxyError: "the proxy on the way refuses",
        requests.exceptions.ConnectionError: "no connection",
        requests.exceptions.ChunkedEncodingError: "the connection broke",
        ValueError: "this is no address",
    }
    return next((text for kind, text in reasons.items() if isinstance(error, kind)), "the connection broke")
