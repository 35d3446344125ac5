"""What is an image in a request: raw bytes, files of a form, JSON; and what is refused."""

import base64
import json
from typing import Any

import pytest
from support.drawn_photos import encoded, photo
from support.served import Client

IMAGE = encoded(photo(1), ".png")
JSON_WANTED = 'expected JSON like {"images": [{"base64": "…", "name": "ant.jpg"}]}, where name may be omitted'


def paths(client: Client, **request: Any) -> list[str | None]:
    answer = client.post("/v1/predict", **request)
    assert answer.status_code == 200
    assert all("predictions" in row for row in answer.json())
    return [row["path"] for row in answer.json()]


def test_one_image_as_it_is(client: Client) -> None:
    for kind in ("image/png", "application/octet-stream", "text/plain"):
        assert paths(client, data=IMAGE, headers={"Content-Type": kind}) == [None]
    assert paths(client, data=IMAGE) == [None]


def test_files_of_a_form_in_order(client: Client) -> None:
    files = [("images", ("b.png", IMAGE)), ("images", ("a.png", IMAGE)), ("other", ("/etc/passwd", IMAGE))]
    assert paths(client, files=files) == ["b.png", "a.png", "/etc/passwd"]  # a name, which nobody opens


def test_json(client: Client) -> None:
    text = base64.b64encode(IMAGE).decode()
    assert paths(client, json={"images": [{"base64": text, "name": "a.png"}, {"base64": text}]}) == ["a.png", None]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 422, JSON_WANTED),
        (b"[1", 422, JSON_WANTED),
        (b"\xff\xfe\x00", 422, JSON_WANTED),
        (b"[" * 100_000, 422, JSON_WANTED),
        (b'{"images": 1}', 422, JSON_WANTED),
        (b'{"images": ["x"]}', 422, JSON_WANTED),
        (b'{"images": [{"name": "a"}]}', 422, JSON_WANTED),
        (b'{"images": [{"base64": 1}]}', 422, JSON_WANTED),
        (b'{"images": [{"base64": "*"}]}', 422, JSON_WANTED),
        (b'{"images": [{"base64": "", "name": 1}]}', 422, JSON_WANTED),
        (b'{"images": [{"path": "/etc/passwd"}]}', 422, JSON_WANTED),
        (b'{"images": [{"url": "http://localhost/"}]}', 422, JSON_WANTED),
        (b'{"images": []}', 422, "expected one or more images in the body, found none; /docs has examples"),
        (
            json.dumps({"images": [{"base64": ""}] * 65}).encode(),
            413,
            "65 images are more than the limit of 64; send them in parts",
        ),
    ],
)
def test_json_that_is_refused(client: Client, body: bytes, status: int, message: str) -> None:
    answer = client.post("/v1/predict", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (status, {"error": message})


def test_a_body_without_images(client: Client) -> None:
    wanted = (422, {"error": "expected one or more images in the body, found none; /docs has examples"})
    for request in ({}, {"data": b""}, {"files": {"images": (None, "text")}}):
        answer = client.post("/v1/predict", **request)
        assert (answer.status_code, answer.json()) == wanted


def test_a_damaged_form(client: Client) -> None:
    for kind, body in (
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"garbage"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--"),
    ):
        answer = client.post("/v1/predict", data=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 422)
        assert answer.json().keys() == {"error"}


def test_too_many_files_in_a_form(client: Client) -> None:
    answer = client.post("/v1/predict", files=[("images", (f"{number}.png", IMAGE)) for number in range(65)])
    assert answer.status_code == 400
    assert answer.json() == {"error": "Too many files. Maximum number of files is 64."}


def test_an_image_that_cannot_be_read_is_a_row(client: Client) -> None:
    answer = client.post("/v1/predict", files=[("i", ("a.txt", b"text")), ("i", ("b.png", IMAGE)), ("i", ("c", b"x"))])
    assert [row["path"] for row in answer.json()] == ["a.txt", "b.png", "c"]
    assert [sorted(row) for row in answer.json()] == [["error", "path"], ["path", "predictions"], ["error", "path"]]
    assert answer.json()[0]["error"].startswith("not an image: expected JPEG, PNG")
