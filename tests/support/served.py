"""`finetune serve` within the test's process: a thread answers on a free port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests


class Client:
    """Asks a server at `base`, such as http://localhost:8000, without a proxy."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str, **options: Any) -> requests.Response:
        return self._session.get(self.base + path, timeout=60, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self._session.post(self.base + path, timeout=60, **options)

    def close(self) -> None:
        self._session.close()


@contextmanager
def served(service: Any, token: str | None = None) -> Iterator[Client]:
    """Yield a client of a server that answers with this service, and stop the server."""
    from finetune.serving.app import create_app
    from finetune.serving.server import listen, server_of

    server = server_of(create_app(service, token))
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    client = Client(f"http://localhost:{listener.getsockname()[1]}")
    try:
        yield client
    finally:
        client.close()
        server.should_exit = True
        thread.join()
