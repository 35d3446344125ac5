"""The socket and its connections: a port in use, addresses, silence."""

import socket
import time
from contextlib import suppress

import pytest
from support.served import Client

from finetune.errors import UsageError
from finetune.serving import server
from finetune.serving.server import address, is_loopback, listen

HALF = "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"  # answered before it is whole


def connected(client: Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(client.base.rpartition(":")[2])), timeout=10)


def test_a_port_in_use() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        message = f"cannot listen on 127.0.0.1, port {port} (Address already in use); give another --port or --host"
        with pytest.raises(UsageError) as error:
            listen("127.0.0.1", port)
        assert str(error.value) == message
        assert first.proto == socket.IPPROTO_TCP  # otherwise asyncio leaves answers to Nagle's algorithm
    listen("127.0.0.1", port).close()  # at once again


def test_an_address_of_another_machine() -> None:
    with pytest.raises(
        UsageError, match=r"cannot listen on 192\.0\.2\.1, port 0 \(.*\); give another --port or --host"
    ):
        listen("192.0.2.1", 0)
    with pytest.raises(UsageError, match=r"cannot listen on no\.such\.host\.invalid, port 0"):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("localhost.example.com", False),
    ],
)
def test_is_loopback(host: str, alone: bool) -> None:
    assert is_loopback(host) is alone


def test_address() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert address("127.0.0.1", listener, None) == f"http://127.0.0.1:{port}/"
        assert address("::1", listener, "a b&c") == f"http://[::1]:{port}/#token=a%20b%26c"


@pytest.mark.parametrize("sent", ["", "GET / HT", HALF])
def test_a_silent_connection_is_closed(client: Client, monkeypatch: pytest.MonkeyPatch, sent: str) -> None:
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.2)
    with connected(client) as connection:
        connection.sendall(sent.encode())
        with suppress(ConnectionResetError):
            while connection.recv(1000):  # raises TimeoutError if it stays open
                pass


def test_a_connection_that_asks_stays_open(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENT_SECONDS", 0.5)
    with connected(client) as connection:
        for _ in range(8):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            time.sleep(0.15)


def test_garbage_is_answered_and_harms_nobody(client: Client) -> None:
    for sent in (b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", bytes(70_000)):
        with connected(client) as connection:
            connection.sendall(sent)
            assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert client.get("/healthz").status_code == 200
