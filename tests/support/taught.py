"""A client of a server that teaches a folder, and what tests ask of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from finetune.serving.app import create_app
from finetune.serving.teaching import add_teaching, open_teaching
from finetune.serving.teaching_folder import held_folder
from support.drawn_photos import encoded, photo


@contextmanager
def teaching_client(folder: Path, token: str | None = None) -> Iterator[TestClient]:
    """Yield a client of a server that teaches a folder; TensorFlow is not loaded."""
    with held_folder(folder) as held:
        service, teaching = open_teaching(held)
        app = create_app(service, token)
        add_teaching(app, teaching)
        yield TestClient(app, base_url="http://127.0.0.1:8000")


def add(client: TestClient, name: str, number: int) -> str:
    answer = client.post(f"/v1/teach/classes/{name}/images", content=encoded(photo(number)))
    assert answer.status_code == 201
    return answer.json()["image"]


def counts(client: TestClient) -> dict[str, int]:
    return {each["name"]: each["images"] for each in client.get("/v1/teach").json()["classes"]}


def ended(client: TestClient) -> dict[str, Any]:
    """Wait for the end of the training and return its status."""
    for _ in range(600):
        status = client.get("/v1/teach").json()["training"]
        if status["stage"] != "running":
            return status
        time.sleep(0.1)
    raise TimeoutError
