"""A client of a server that teaches a folder, and what tests ask of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.drawn_photos import encoded, photo
from support.served import Client, running


@contextmanager
def teaching_client(folder: Path, token: str | None = None) -> Iterator[Client]:
    """Yield a client of a server that teaches a folder."""
    from finetune.serving.app import create_app
    from finetune.serving.teaching import open_teaching
    from finetune.serving.teaching_folder import held_folder
    from finetune.serving.teaching_routes import add_teaching

    with held_folder(folder) as held:
        service, teaching = open_teaching(held)
        app = create_app(service, token)
        add_teaching(app, teaching)
        with running(app) as client:
            yield client


def add(client: Client, name: str, number: int) -> str:
    answer = client.post(f"/v1/teach/classes/{name}/images", data=encoded(photo(number)))
    assert answer.status_code == 201
    return answer.json()["image"]


def counts(client: Client) -> dict[str, int]:
    return {each["name"]: each["images"] for each in client.get("/v1/teach").json()["classes"]}


def ended(client: Client) -> dict[str, Any]:
    """Wait for the end of the training and return its status."""
    for _ in range(600):
        status = client.get("/v1/teach").json()["training"]
        if status["stage"] != "running":
            return status
        time.sleep(0.1)
    raise TimeoutError
