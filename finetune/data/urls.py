"""Fetch one image from the web, within limits of time and size.

Nothing is kept between calls, so that threads need not share anything.
"""

import re
import threading
import time

from finetune.errors import ImageError
from finetune.system import http

MAX_BYTES = 64_000_000  # a JPEG of 100 megapixels, the most that is decoded, has about half
TOTAL_SECONDS = 30.0  # from looking up the name to the last byte, redirects included
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+://")  # at least two letters: a single one is a Windows drive


def is_url(name: str) -> bool:
    """Return whether a name begins with a scheme, such as https://, even one that `read_url` refuses."""
    return _SCHEME.match(name) is not None


def read_url(url: str) -> bytes:
    """Return the content at an http or https URL, after five redirects at most; never from https to http.

    Raises ImageError, without the URL, when the connection fails, for any status but 200, for more than MAX_BYTES, and
    after TOTAL_SECONDS; also, without connecting, when FINETUNE_OFFLINE is set.
    """
    if http.offline():
        raise ImageError("not fetched because FINETUNE_OFFLINE is set; unset it")
    fetching = _Fetching(url)
    fetching.start()
    fetching.join(TOTAL_SECONDS)
    if fetching.error is not None:
        raise fetching.error
    if fetching.content is None:
        raise _too_slow()
    return fetching.content


class _Fetching(threading.Thread):
    """Fetches `url`, in a thread because looking up a name and reading the headers of an answer have no time limit."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.content: bytes | None = None
        self.error: ImageError | None = None
        self._url = url
        self._deadline = time.monotonic() + TOTAL_SECONDS

    def run(self) -> None:
        try:
            with http.get(self._url, silence=TOTAL_SECONDS) as answer:
                self.content = self._content(answer)
        except http.HttpError as error:
            self.error = ImageError(f"cannot be fetched ({error})")
        except ImageError as error:
            self.error = error

    def _content(self, answer: http.Answer) -> bytes:
        if answer.status != 200:
            raise ImageError(f"the server answers {answer.status}, expected 200")
        content = bytearray()
        for piece in answer.pieces:
            content += piece
            if len(content) > MAX_BYTES:
                raise ImageError(f"more than the limit of {MAX_BYTES // 10**6} MB; fetch and shrink it yourself")
            if time.monotonic() > self._deadline:
                raise _too_slow()
        stated = answer.headers.get("Content-Length", "")
        if stated.isdecimal() and len(content) < int(stated):
            raise ImageError(f"the connection broke after {len(content):,} of {int(stated):,} bytes; try again")
        return bytes(content)


def _too_slow() -> ImageError:
    return ImageError(f"no complete answer within {TOTAL_SECONDS:.0f} s; try again later")
