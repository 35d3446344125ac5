"""A server for tests: a small model, computed with NumPy alone, on a port of this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import Client, served

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.runs.about_model import about_model

pytest.importorskip("uvicorn", reason="finetune serve needs FastAPI and uvicorn")

from finetune.serving.loaded_model import LoadedModel
from finetune.serving.service import Service


@pytest.fixture(scope="package", autouse=True)
def _without_tensorflow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LoadedModel, "warm_up", lambda self: None)
        yield


@pytest.fixture(scope="module")
def service(tiny_model: Model, tiny_weights: Path) -> Service:
    return Service(Classifier(tiny_model), lambda: about_model(tiny_model, tiny_weights))


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[Client]:
    with served(service) as client:
        yield client
