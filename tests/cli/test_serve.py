"""`finetune serve`: from its start to Ctrl-C, and what it refuses."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.drawn_photos import encoded, photo
from support.served import Client

from finetune.cli import serve
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights

Finetune = Callable[..., tuple[int, str, str]]
IMAGE = encoded(photo(1))

pytest.importorskip("uvicorn", reason="finetune serve needs FastAPI and uvicorn")


@contextmanager
def serving(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """Start the command on a free port and yield its process, and a client as soon as it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "finetune", "serve", "--port", str(port), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            client = Client(f"http://localhost:{port}")
            while True:
                try:
                    client.get("/healthz")
                    break
                except OSError:
                    assert process.poll() is None, process.communicate()
                    time.sleep(0.02)
            yield process, client
            client.close()
        finally:
            process.kill()


@pytest.mark.tensorflow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_from_start_to_end(tiny_weights: Path, end: signal.Signals) -> None:
    """The first answers come from NumPy; Ctrl-C ends it with one line, while TensorFlow is being imported too."""
    with serving(tiny_weights) as (process, client):
        row = client.post("/v1/predict", data=IMAGE).json()[0]
        assert {score["label"] for score in row["predictions"]} == {"red", "green", "blue"}
        process.send_signal(end)
        out, errors = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "")
    assert errors.splitlines() == [
        f"serving {tiny_weights} at {client.base.replace('localhost', '127.0.0.1')}/ (Ctrl-C stops it)",
        "stopped after 2 requests",
    ]


@pytest.mark.parametrize("kinds", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT, signal.SIGINT]])
def test_its_end_waits_for_the_import(tiny_weights: Path, kinds: list[signal.Signals]) -> None:
    """Python crashes if it ends while TensorFlow is being imported; a second Ctrl-C ends it in any case."""
    program = (
        "import sys, time; from finetune.__main__ import main; from finetune.serving.loaded_model import LoadedModel\n"
        "def warm_up(self): print('importing', flush=True); time.sleep(1); print('imported')\n"
        "LoadedModel.warm_up = warm_up; main()"
    )
    command = [sys.executable, "-c", program, "serve", str(tiny_weights), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "importing\n"
        process.stderr.readline()
        process.send_signal(kinds[0])
        assert process.stderr.readline() == "stopped after 0 requests\n"
        for kind in kinds[1:]:
            process.send_signal(kind)
        out, errors = process.communicate(timeout=60)
    once = len(kinds) == 1
    assert (process.returncode, out, errors) == (0 if once else -signal.SIGINT, "imported\n" if once else "", "")


@pytest.mark.tensorflow
@pytest.mark.slow
def test_tensorflow_takes_over(tiny_weights: Path) -> None:
    with serving(tiny_weights) as (process, client):
        before = client.post("/v1/predict", data=IMAGE).json()[0]
        while not client.get("/healthz").json()["tensorflow"]:
            time.sleep(0.1)
        after = client.post("/v1/predict", data=IMAGE).json()[0]
        for one, other in zip(before["predictions"], after["predictions"], strict=True):
            assert one["label"] == other["label"]
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4)
        answer = client.post("/v1/explain", data=IMAGE)
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


@pytest.mark.tensorflow
def test_with_other_machines(tiny_weights: Path) -> None:
    with serving(tiny_weights, "--host", "0.0.0.0", "--token", "abc") as (process, client):
        assert client.get("/v1/model").status_code == 401
        assert client.get("/v1/model", headers={"Authorization": "Bearer abc"}).status_code == 200
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    first, second, _ = errors.splitlines()
    assert first == "warning: other machines can reach this server; what they send and see is not encrypted"
    port = client.base.rpartition(":")[2]
    assert second == f"serving {tiny_weights} at http://0.0.0.0:{port}/#token=abc (Ctrl-C stops it)"


def test_a_port_in_use(finetune: Finetune) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert finetune("serve", "starter", "--port", port) == (
            2,
            "",
            f"finetune: error: cannot listen on 127.0.0.1, port {port} (Address already in use); give another --port "
            "or --host\n",
        )


def test_other_machines_without_a_token(finetune: Finetune) -> None:
    message = "--host 0.0.0.0 lets other machines in; add --token SECRET, which they have to present"
    assert finetune("serve", "starter", "--host", "0.0.0.0") == (2, "", f"finetune: error: {message}\n")


def test_a_model_that_does_not_exist(finetune: Finetune, tmp_path: Path) -> None:
    code, out, errors = finetune("serve", tmp_path / "none.npy", "--port", 0)
    assert (code, out) == (1, "")
    assert errors.startswith(f"finetune: error: weights '{tmp_path}/none.npy': neither a file nor a published name")


def test_a_model_without_classes(finetune: Finetune, tmp_path: Path) -> None:
    network = build("alexnet-book")
    path = tmp_path / "book.safetensors"
    save_model(path, Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=1), ()))
    message = f"{path} ends with pool5 and has no classes; serve needs a model with classes"
    assert finetune("serve", path, "--port", 0) == (2, "", f"finetune: error: {message}\n")


def test_without_the_extra(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "find_spec", lambda module: None if module == "uvicorn" else True)
    message = "finetune serve needs uvicorn; pip install 'uvicorn>=0.35'"
    assert finetune("serve", "starter") == (2, "", f"finetune: error: {message}\n")
