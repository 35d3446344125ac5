"""Who is refused, and what is limited: hosts, origins, the token, bytes, time; and errors of our own."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.drawn_photos import encoded, photo
from support.served import Client, served

from finetune.serving import guard
from finetune.serving.loaded_model import LoadedModel
from finetune.serving.service import Service

IMAGE = encoded(photo(1), ".png")
PORT = 8000


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("192.168.1.7", 200),
        ("[::1]:8000", 200),
        ("example.com", 421),
        ("localhost.example.com", 421),
        ("127.0.0.1.example.com:8000", 421),
        ("", 421),
    ],
)
def test_the_host_that_is_asked_for(client: Client, host: str, status: int) -> None:
    """A site that gave its name this machine's address asks for its own name."""
    answer = client.get("/v1/model", headers={"Host": host})
    assert answer.status_code == status
    if status == 421:
        assert answer.json()["error"].startswith("this server is localhost, not ")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:8000", 200),
        ("https://localhost:8000", 200),  # behind a proxy
        ("http://localhost:8001", 403),
        ("http://example.com", 403),
        ("null", 403),
    ],
)
def test_the_site_whose_page_sends(client: Client, origin: str, status: int) -> None:
    headers = {"Host": "localhost:8000", "Origin": origin}
    assert client.post("/v1/predict", data=IMAGE, headers=headers).status_code == status
    assert client.get("/v1/model", headers=headers).status_code == 200  # no page of another site can read it


@pytest.fixture(scope="module")
def with_token(service: Service) -> Iterator[Client]:
    with served(Service(service.model.classifier, dict), token="a secret ü") as client:
        yield client


def test_the_token(with_token: Client) -> None:
    for given in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic a secret"}):
        answer = with_token.post("/v1/predict", data=IMAGE, headers=given)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.json() == {"error": "expected the header Authorization: Bearer TOKEN, as of --token"}
    assert with_token.get("/metrics").status_code == 401
    bearer = {"Authorization": "Bearer a secret ü".encode(), "Host": "anything", "Origin": "http://anything"}
    assert with_token.post("/v1/predict", data=IMAGE, headers=bearer).status_code == 200
    for path in ("/", "/page.js", "/healthz", "/docs"):
        assert with_token.get(path).status_code == 200


def test_bytes_of_a_request(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_BYTES", len(IMAGE))
    assert client.post("/v1/predict", data=IMAGE).status_code == 200
    large = IMAGE + bytes(20_000_000)  # more than waits in a socket

    def slowly() -> Iterator[bytes]:
        yield IMAGE
        time.sleep(0.3)  # so that they arrive one by one
        yield b"x"

    refused = {"error": "more than the limit of 0 MB; send fewer or smaller images"}
    for body in (
        IMAGE + b"x",
        large,
        iter([IMAGE, b"x"]),
        iter([IMAGE, large]),
    ):  # an iterator: no header has the length
        answer = client.post("/v1/predict", data=body)
        assert (answer.status_code, answer.json()) == (413, refused)


def test_bytes_of_all_requests(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "MOST_BYTES_AT_ONCE", len(IMAGE))
    for _ in range(3):  # what was answered is not held any more
        assert client.post("/v1/predict", data=IMAGE).status_code == 200
    answer = client.post("/v1/predict", data=IMAGE + b"x")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "the server holds as many images as it can; try again"}
    assert client.post("/v1/predict", data=IMAGE).status_code == 200


def test_a_full_queue(client: Client, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first image is being computed, a second one waits, and a third has no place."""
    gate, entered = threading.Event(), threading.Event()
    compute = LoadedModel.logits

    def slow(self: LoadedModel, files: list[bytes]) -> list:
        entered.set()
        assert gate.wait(10)
        return compute(self, files)

    monkeypatch.setattr(LoadedModel, "logits", slow)
    monkeypatch.setattr(service.batches, "_most_waiting", 1)
    statuses: list[int] = []
    others = [
        threading.Thread(target=lambda: statuses.append(client.post("/v1/predict", data=IMAGE).status_code))
        for _ in range(2)
    ]
    others[0].start()
    assert entered.wait(10)
    others[1].start()
    while not service.batches.waiting():
        pass
    answer = client.post("/v1/predict", data=IMAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"error": "as many images wait as the queue holds; try again"}
    gate.set()
    for other in others:
        other.join()
    assert statuses == [200, 200]


def test_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a request, and then nothing: it is answered."""
    monkeypatch.setattr(guard, "MOST_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", int(client.base.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
        answer = b""
        while not answer.endswith(b"}"):
            answer += connection.recv(1000)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer
    assert b"not answered within 0 s; send less at once" in answer


def test_a_client_that_leaves_is_not_an_error(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = client.get("/metrics").text.count('status="0"')
    with socket.create_connection(("127.0.0.1", int(client.base.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(b"POST /v1/features HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf")
    while 'route="/v1/features",status="0"' not in client.get("/metrics").text:
        pass
    assert before == 0
    assert not caplog.records


def test_an_error_of_our_own_is_one_line(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(self: LoadedModel, files: list[bytes]) -> list:
        raise ValueError("a secret of the server")

    monkeypatch.setattr(LoadedModel, "logits", wrong)
    with caplog.at_level(logging.INFO, "finetune"):
        answer = client.post("/v1/predict", data=IMAGE)
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "an unexpected error; the log of the server has more"},
    )
    assert [record.getMessage() for record in caplog.records] == [
        "unexpected ValueError: a secret of the server; this is a bug in finetune, please report it (-v shows where)"
    ]
    monkeypatch.undo()
    assert client.post("/v1/predict", data=IMAGE).status_code == 200


def test_every_answer_has_the_headers(client: Client) -> None:
    for answer in (
        client.get("/"),
        client.get("/v1/model"),
        client.get("/nothing"),
        client.get("/", headers={"Host": "x"}),
    ):
        for name, value in guard.HEADERS.items():
            assert answer.headers[name] == value
    assert client.get("/docs").headers["Content-Security-Policy"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_another_protocol_is_passed_on() -> None:
    async def app(scope: dict, receive: object, send: object) -> None:
        seen.append(scope["type"])

    seen: list[str] = []
    passing = guard.Guard(app, None, guard.RequestCounts())
    asyncio.run(passing({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
