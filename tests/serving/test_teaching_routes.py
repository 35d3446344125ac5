"""The routes of `finetune teach`: what a page may change in the folder, and what it may not."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import taught
from support.drawn_photos import encoded, photo
from support.served import Client


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.chdir(tmp_path)
    with taught.teaching_client(Path("images")) as opened:
        yield opened


def test_from_names_to_a_folder_per_class(client: Client) -> None:
    assert client.get("/v1/teach").json() == {
        "folder": "images",
        "classes": [],
        "run": None,
        "training": {"stage": "none", "what": "", "done": 0, "total": None, "lines": [], "error": ""},
    }
    assert client.post("/v1/teach/classes", json={"name": "ants"}).json() == {"name": "ants"}
    assert client.post("/v1/teach/classes", json={"name": " Bärlauch 🌿 "}).json() == {"name": "Bärlauch 🌿"}
    first = taught.add(client, "ants", 1)
    moved = client.request("PATCH", f"/v1/teach/images/{first}", json={"name": "Bärlauch 🌿"}).json()["image"]
    assert moved == first.replace("ants", "Bärlauch 🌿")
    assert taught.counts(client) == {"Bärlauch 🌿": 1, "ants": 0}
    assert Path("images", moved).read_bytes().startswith(b"\xff\xd8\xff")
    assert client.get("/v1/teach/classes/Bärlauch 🌿/images").json() == [moved]
    assert client.request("DELETE", f"/v1/teach/images/{moved}").status_code == 204
    assert client.request("PATCH", "/v1/teach/classes/ants", json={"name": "wasps"}).json() == {"name": "wasps"}
    assert client.request("DELETE", "/v1/teach/classes/wasps").status_code == 204
    assert taught.counts(client) == {"Bärlauch 🌿": 0}
    assert sorted(path.name for path in Path("images/.deleted").iterdir()) == ["Bärlauch 🌿", "wasps"]


def test_the_version_of_a_class_changes_with_its_images(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    before = client.get("/v1/teach").json()["classes"]
    assert client.get("/v1/teach").json()["classes"] == before
    taught.add(client, "ants", 1)
    assert client.get("/v1/teach").json()["classes"][0]["version"] != before[0]["version"]


def test_images_added_by_hand_are_counted(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    assert taught.counts(client) == {"ants": 0}
    Path("images/ants/mine.jpg").write_bytes(encoded(photo(1)))
    Path("images/bees").mkdir()
    time.sleep(0.6)
    assert taught.counts(client) == {"ants": 1, "bees": 0}


def test_a_small_copy_of_an_image(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    answer = client.get(f"/v1/teach/images/{taught.add(client, 'ants', 1)}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
    Path("images/ants/words.jpg").write_text("words")
    answer = client.get("/v1/teach/images/ants/words.jpg")
    assert (answer.status_code, answer.json()) == (404, {"error": "ants/words.jpg cannot be read"})


def test_the_newest_images_of_a_class(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    added = {taught.add(client, "ants", number) for number in range(50)}
    assert len(client.get("/v1/teach/classes/ants/images").json()) == 48
    assert set(client.get("/v1/teach/classes/ants/images?most=100").json()) == added


NO_CLASS = "there is no class 'wasps' here; it may have been renamed; reload the page"
NO_IMAGE = "there is no image 'ants/gone.jpg' here; it may have been deleted or moved; reload the page"


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "classes/wasps/images", 404, NO_CLASS),
        ("POST", "classes/wasps/images", 404, NO_CLASS),
        ("DELETE", "classes/wasps", 404, NO_CLASS),
        ("GET", "images/../secret.jpg", 404, None),
        ("GET", "images/%2e%2e/secret.jpg", 404, None),
        ("GET", "images/ants/..%2f..%2fsecret.jpg", 404, None),
        ("GET", "images/ants/gone.jpg", 404, NO_IMAGE),
        ("DELETE", "images/ants%2f..%2f..%2fsecret.jpg", 404, None),
        ("POST", "training", 409, "expected images in at least two classes, found them in 0; add images"),
        ("GET", "model", 404, "the model is not written yet; train first"),
        ("GET", "report", 404, "the report is not written yet; train first"),
    ],
)  # fmt: skip
def test_what_is_refused(client: Client, method: str, path: str, status: int, error: str | None) -> None:
    Path("secret.jpg").write_bytes(encoded(photo(0)))
    client.post("/v1/teach/classes", json={"name": "ants"})
    answer = client.request(method, f"/v1/teach/{path}", data=encoded(photo(1)) if method == "POST" else None)
    assert answer.status_code == status
    assert error is None or answer.json() == {"error": error}
    assert Path("secret.jpg").exists()
    assert taught.counts(client) == {"ants": 0}


def test_what_cannot_be_added(client: Client) -> None:
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    taught.add(client, "ants", 1)
    for name, data, status, error in (
        ("ants", b"", 422, "the file is empty"),
        ("ants", b"words", 422, "not an image: expected JPEG"),
        ("bees", encoded(photo(1)), 409, "the image is in class 'ants' already; move it from there"),
    ):
        answer = client.post(f"/v1/teach/classes/{name}/images", data=data)
        assert answer.status_code == status
        assert answer.json()["error"].startswith(error)
    again = client.post("/v1/teach/classes/ants/images", data=encoded(photo(1)))
    assert again.json()["new"] is False
    answer = client.post("/v1/teach/classes", json={"name": "../up"})
    assert (answer.status_code, answer.json()["error"].startswith("'../up' has the character '/'")) == (422, True)
    assert taught.counts(client) == {"ants": 1, "bees": 0}


def test_an_image_may_have_as_many_pixels_as_for_serve(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.serving.loaded_model.MOST_PIXELS", 200 * 150)
    client.post("/v1/teach/classes", json={"name": "ants"})
    assert client.post("/v1/teach/classes/ants/images", data=encoded(photo(1, 150, 200))).status_code == 201
    answer = client.post("/v1/teach/classes/ants/images", data=encoded(photo(1, 151, 200)))
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("200×151 pixels are more than the server's limit")


def test_a_full_disk_is_reported_and_leaves_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = client.post("/v1/teach/classes/ants/images", data=encoded(photo(1)))
    assert answer.status_code == 507
    assert answer.json() == {"error": "the folder cannot be written (No space left on device); fix that and try again"}
    assert list(Path("images/ants").iterdir()) == []


def test_the_guard_is_that_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with taught.teaching_client(Path("images"), token="secret") as client:
        assert client.get("/teach").status_code == 200, "a page has no token before its address is read"
        assert client.get("/v1/teach").status_code == 401
        allowed = {"Authorization": "Bearer secret"}
        assert client.get("/v1/teach", headers=allowed).status_code == 200


def test_no_page_of_another_site_changes_the_folder(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    image = taught.add(client, "ants", 1)
    foreign = {"Origin": "http://elsewhere.example"}
    assert client.get("/v1/teach", headers={"Host": "rebound.example"}).status_code == 421
    for method, path in (
        ("POST", "classes/ants/images"),
        ("POST", "training"),
        ("DELETE", f"images/{image}"),
        ("DELETE", "classes/ants"),
    ):
        answer = client.request(method, f"/v1/teach/{path}", headers=foreign, data=encoded(photo(2)))
        assert answer.status_code == 403
    assert taught.counts(client) == {"ants": 1}


def test_the_page_and_its_files_ask_for_nothing_elsewhere(client: Client) -> None:
    for name in ("teach", "teach.js", "teach.css", "cards.js", "teaching.js", "uploads.js", "page.css", "engine.js"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert "://" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_reference_has_every_route(client: Client) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    for path in client.get("/openapi.json").json()["paths"]:
        assert f"{path}</code>" in page.text
    assert "curl -X DELETE http://localhost" in page.text


def test_thirty_clients_at_once(client: Client) -> None:
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    with ThreadPoolExecutor(30) as pool:
        list(pool.map(lambda number: taught.add(client, ("ants", "bees")[number % 2], number), range(120)))
    assert taught.counts(client) == {"ants": 60, "bees": 60}
