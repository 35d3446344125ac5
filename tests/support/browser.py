"""Chromium without a window, for tests of pages; they are skipped where Playwright or Chromium is missing."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = [
    "--disable-gpu",
    "--disable-background-networking",
    "--use-fake-device-for-media-stream",  # a camera that shows a clock on green
    "--use-fake-ui-for-media-stream",  # and a user who allows it
]
_DATA_TRANSFER = """files => {
  const transfer = new DataTransfer();
  for (const [name, data] of files) {
    transfer.items.add(new File([Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0))], name));
  }
  return transfer;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield Playwright's browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    # Root has no sandbox, as in a container.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else [])]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that is open in a browser: `requests` it made, by address, and `faults` that its console reports."""

    def __init__(self, browser: Any, url: str, width: int = 1280, scheme: str = "light") -> None:
        self.base = url.partition("#")[0]
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["camera"]
        )
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.goto(url)

    def foreign(self) -> list[str]:
        """Return the addresses asked for that are not of the page's own server or of the page itself."""
        return [url for url in self.requests if not url.startswith((self.base, "blob:", "data:"))]

    def overflows(self) -> bool:
        """Return whether the page scrolls sideways."""
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")

    def drop(self, selector: str, files: list[tuple[str, bytes]]) -> None:
        """Drop files on the element."""
        self.page.dispatch_event(selector, "drop", {"dataTransfer": self._transfer(files)})

    def paste(self, files: list[tuple[str, bytes]]) -> None:
        """Paste files."""
        self._transfer(files).evaluate(
            "files => document.body.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true}))"
        )

    def _transfer(self, files: list[tuple[str, bytes]]) -> Any:
        given = [[name, base64.b64encode(data).decode()] for name, data in files]
        return self.page.evaluate_handle(_DATA_TRANSFER, given)

    def close(self) -> None:
        self.context.close()


@contextmanager
def visiting(browser: Any, url: str, width: int = 1280, scheme: str = "light") -> Iterator[Visit]:
    """Yield a page; at the end, its console must have reported nothing, and it must have asked nothing foreign."""
    visit = Visit(browser, url, width, scheme)
    try:
        yield visit
        assert visit.faults == []
        assert visit.foreign() == []
    finally:
        visit.close()


def read_all(paths: list[Path]) -> list[tuple[str, bytes]]:
    """Return name and content of files, as `drop` takes them."""
    return [(path.name, path.read_bytes()) for path in paths]
