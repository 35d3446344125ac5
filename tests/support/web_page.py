"""The page of an export to the web on Python's own static server, and what a page's engine answers."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from support.browser import chromium, visiting

_PREDICT = """async (tenCrop) => {
    const engine = await import("./engine.js");
    return engine.predict([...document.getElementById("files").files], { top: 1000, tenCrop });
}"""


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
    """Yield the page of an export; afterwards, fail if it asked another server or its console reported anything."""
    with (
        static_server(folder, encoding=encoding) as url,
        chromium() as browser,
        visiting(browser, url) as visit,
    ):
        yield visit.page
        assert any(each.endswith("/model.onnx.gz") for each in visit.requests)


def predict_in_page(page: Any, files: Sequence[Path], ten_crop: bool = False) -> list[Any]:
    """Return the rows of the page's own engine, with every class."""
    page.set_input_files("#files", files)  # which the page classifies, too
    return page.evaluate(_PREDICT, ten_crop)
