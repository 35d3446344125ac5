"""Debian's Chromium, headless, driven by Playwright; a folder on Python's own static server; what its page answers."""

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

MILLISECONDS = 120_000  # a machine that does much else needs a while

_PREDICT = """async (tenCrop) => {
    const engine = await import("./engine.js");
    return engine.predict([...document.getElementById("files").files], { top: 1000, tenCrop });
}"""


@contextmanager
def chromium_page(**options: Any) -> Iterator[Any]:
    """Yield a Playwright page of a fresh browser; skip the test without Playwright or Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser.new_page(**options)
        finally:
            browser.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class _Encoding(_Quiet):
    """Says what .gz is, so that the browser unpacks it."""

    def end_headers(self) -> None:
        if self.path.endswith(".gz"):
            self.send_header("Content-Encoding", "gzip")
        super().end_headers()


@contextmanager
def static_server(folder: Path, *, encoding: bool = False) -> Iterator[str]:
    """Yield the address of a server that sends the files of a folder as they are."""
    handler = partial(_Encoding if encoding else _Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def exported_page(folder: Path, *, encoding: bool = False) -> Iterator[Any]:
    """Yield the page of an export to the web; afterwards, fail if it asked another server or logged anything."""
    with static_server(folder, encoding=encoding) as url, chromium_page() as page:
        requests: list[str] = []
        logged: list[str] = []
        page.set_default_timeout(MILLISECONDS)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: logged.append(message.text))
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.goto(url)
        yield page
        assert [each for each in requests if not each.startswith((url, "blob:", "data:"))] == []
        assert any(each.endswith("/model.onnx.gz") for each in requests)
        assert logged == []


def predict_in_page(page: Any, files: Sequence[Path], ten_crop: bool = False) -> list[Any]:
    """Return the rows of the page's own engine, with every class."""
    page.set_input_files("#files", files)  # which the page classifies, too
    return page.evaluate(_PREDICT, ten_crop)
