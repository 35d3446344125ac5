"""The routes of `finetune teach`: what a page may change in the folder, and what it may not."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from support.drawn_photos import encoded, photo

from finetune.runs.run import Run

testclient = pytest.importorskip("fastapi.testclient")

from finetune.serving.app import create_app  # noqa: E402
from finetune.serving.teaching import add_teaching, open_teaching  # noqa: E402
from finetune.serving.teaching_folder import held_folder  # noqa: E402

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["testclient.TestClient"]:
    """A client of a server that teaches the empty folder `images`; TensorFlow is not loaded."""
    monkeypatch.chdir(tmp_path)
    with held_folder(Path("images")) as folder:
        service, teaching = open_teaching(folder)
        app = create_app(service)
        add_teaching(app, teaching)
        yield testclient.TestClient(app, base_url=ADDRESS)


def add(client: "testclient.TestClient", name: str, number: int) -> str:
    answer = client.post(f"/v1/teach/classes/{name}/images", content=encoded(photo(number)))
    assert answer.status_code == 201
    return answer.json()["image"]


def counts(client: "testclient.TestClient") -> dict[str, int]:
    return {each["name"]: each["images"] for each in client.get("/v1/teach").json()["classes"]}


def ended(client: "testclient.TestClient") -> dict[str, object]:
    """Wait for the end of the training and return its status."""
    for _ in range(600):
        status = client.get("/v1/teach").json()["training"]
        if status["stage"] != "running":
            return status
        time.sleep(0.1)
    raise TimeoutError


def test_from_names_to_a_folder_per_class(client: "testclient.TestClient") -> None:
    assert client.get("/v1/teach").json() == {
        "folder": "images",
        "classes": [],
        "run": None,
        "training": {"stage": "none", "what": "", "done": 0, "total": None, "lines": [], "error": ""},
    }
    assert client.post("/v1/teach/classes", json={"name": "ants"}).json() == {"name": "ants"}
    assert client.post("/v1/teach/classes", json={"name": " Bärlauch 🌿 "}).json() == {"name": "Bärlauch 🌿"}
    first = add(client, "ants", 1)
    moved = client.patch(f"/v1/teach/images/{first}", json={"name": "Bärlauch 🌿"}).json()["image"]
    assert moved == first.replace("ants", "Bärlauch 🌿")
    assert counts(client) == {"Bärlauch 🌿": 1, "ants": 0}
    assert Path("images", moved).read_bytes().startswith(b"\xff\xd8\xff")
    assert client.get("/v1/teach/classes/Bärlauch 🌿/images").json() == [moved]
    assert client.delete(f"/v1/teach/images/{moved}").status_code == 204
    assert client.patch("/v1/teach/classes/ants", json={"name": "wasps"}).json() == {"name": "wasps"}
    assert client.delete("/v1/teach/classes/wasps").status_code == 204
    assert counts(client) == {"Bärlauch 🌿": 0}
    assert sorted(path.name for path in Path("images/.deleted").iterdir()) == ["Bärlauch 🌿", "wasps"]


def test_the_version_of_a_class_changes_with_its_images(client: "testclient.TestClient") -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    before = client.get("/v1/teach").json()["classes"]
    assert client.get("/v1/teach").json()["classes"] == before
    add(client, "ants", 1)
    assert client.get("/v1/teach").json()["classes"][0]["version"] != before[0]["version"]


def test_a_small_copy_of_an_image(client: "testclient.TestClient") -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    answer = client.get(f"/v1/teach/images/{add(client, 'ants', 1)}")
    assert answer.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR).shape == (120, 160, 3)
    Path("images/ants/words.jpg").write_text("words")
    answer = client.get("/v1/teach/images/ants/words.jpg")
    assert (answer.status_code, answer.json()) == (404, {"error": "ants/words.jpg cannot be read"})


def test_the_newest_images_of_a_class(client: "testclient.TestClient") -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    added = {add(client, "ants", number) for number in range(50)}
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
        ("POST", "training", 409, "training needs images in at least two classes, and 0 has some; add images"),
        ("GET", "model", 404, "the model is not written yet; train first"),
        ("GET", "report", 404, "the report is not written yet; train first"),
    ],
)  # fmt: skip
def test_what_is_refused(
    client: "testclient.TestClient", method: str, path: str, status: int, error: str | None
) -> None:
    Path("secret.jpg").write_bytes(encoded(photo(0)))
    client.post("/v1/teach/classes", json={"name": "ants"})
    answer = client.request(method, f"/v1/teach/{path}", content=encoded(photo(1)) if method == "POST" else None)
    assert answer.status_code == status
    assert error is None or answer.json() == {"error": error}
    assert Path("secret.jpg").exists()
    assert counts(client) == {"ants": 0}


def test_what_cannot_be_added(client: "testclient.TestClient") -> None:
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    add(client, "ants", 1)
    for name, data, status, error in (
        ("ants", b"", 422, "the file is empty"),
        ("ants", b"words", 422, "not an image: expected JPEG"),
        ("bees", encoded(photo(1)), 409, "the image is in class 'ants' already; move it from there"),
    ):
        answer = client.post(f"/v1/teach/classes/{name}/images", content=data)
        assert answer.status_code == status
        assert answer.json()["error"].startswith(error)
    again = client.post("/v1/teach/classes/ants/images", content=encoded(photo(1)))
    assert again.json()["new"] is False
    answer = client.post("/v1/teach/classes", json={"name": "../up"})
    assert (answer.status_code, answer.json()["error"].startswith("'../up' has the character '/'")) == (422, True)
    assert counts(client) == {"ants": 1, "bees": 0}


def test_a_full_disk_is_reported_and_leaves_nothing(
    client: "testclient.TestClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    answer = client.post("/v1/teach/classes/ants/images", content=encoded(photo(1)))
    assert answer.status_code == 507
    assert answer.json() == {"error": "the folder cannot be written (No space left on device); fix that and try again"}
    assert list(Path("images/ants").iterdir()) == []


def test_what_check_finds(client: "testclient.TestClient") -> None:
    answer = client.get("/v1/teach/check")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("expected class folders with images in images, found none")
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    one, two = add(client, "ants", 1), add(client, "ants", 2)
    Path("images", two).write_bytes(Path("images", one).read_bytes())
    found = {each["kind"]: each for each in client.get("/v1/teach/check").json()}
    assert next(iter(found)) == "empty-class", "hard ones first"
    assert found["empty-class"]["messages"] == ["class 'bees' has no images"]
    assert found["identical"]["severity"] == "soft"
    assert found["identical"]["count"] == 1
    assert found["identical"]["images"] == sorted([one, two])


def test_the_zip_has_a_folder_for_each_class(client: "testclient.TestClient") -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    names = sorted(add(client, "ants", number) for number in range(3))
    answer = client.get("/v1/teach/images.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="images.zip"'
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.namelist() == names
        assert archive.read(names[0]) == Path("images", names[0]).read_bytes()


def test_the_guard_is_that_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with held_folder(Path("images")) as folder:
        service, teaching = open_teaching(folder)
        app = create_app(service, token="secret")
        add_teaching(app, teaching)
        client = testclient.TestClient(app, base_url=ADDRESS)
        assert client.get("/teach").status_code == 200, "a page has no token before its address is read"
        assert client.get("/v1/teach").status_code == 401
        allowed = {"Authorization": "Bearer secret"}
        assert client.get("/v1/teach", headers=allowed).status_code == 200


def test_no_page_of_another_site_changes_the_folder(client: "testclient.TestClient") -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    image = add(client, "ants", 1)
    foreign = {"Origin": "http://elsewhere.example"}
    assert client.get("/v1/teach", headers={"Host": "rebound.example"}).status_code == 421
    for method, path in (
        ("POST", "classes/ants/images"),
        ("POST", "training"),
        ("DELETE", f"images/{image}"),
        ("DELETE", "classes/ants"),
    ):
        answer = client.request(method, f"/v1/teach/{path}", headers=foreign, content=encoded(photo(2)))
        assert answer.status_code == 403
    assert counts(client) == {"ants": 1}


def test_the_page_and_its_files_ask_for_nothing_elsewhere(client: "testclient.TestClient") -> None:
    for name in ("teach", "teach.js", "teach.css", "cards.js", "teaching.js", "uploads.js", "page.css", "engine.js"):
        answer = client.get(f"/{name}")
        assert answer.status_code == 200
        assert "://" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_thirty_clients_at_once(client: "testclient.TestClient") -> None:
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    with ThreadPoolExecutor(30) as pool:
        list(pool.map(lambda number: add(client, ("ants", "bees")[number % 2], number), range(120)))
    assert counts(client) == {"ants": 60, "bees": 60}


def test_a_training_that_fails_says_why_and_changes_nothing(client: "testclient.TestClient") -> None:
    """In a process of its own, as every training; the error comes before TensorFlow."""
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
        Path("images", name, "words.jpg").write_text("words")
    assert client.post("/v1/teach/training").json() == {"stage": "running"}
    answer = client.post("/v1/teach/training")
    assert answer.status_code == 409
    assert answer.json() == {"error": "a training is running already; wait until it is done"}
    answer = client.delete("/v1/teach/images/ants/words.jpg")
    assert answer.status_code == 409
    assert "while a training reads the images; wait until it is done" in answer.json()["error"]
    status = ended(client)
    assert status["stage"] == "failed"
    assert str(status["error"]).startswith("no readable image was found; 2 skipped, the first: images/ants/words.jpg")
    assert client.delete("/v1/teach/images/ants/words.jpg").status_code == 204
    assert client.get("/v1/teach").json()["run"] is None
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_model_is_that_of_train_to_the_bit(
    client: "testclient.TestClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained by the page and, without its cached features, by the library as the command line does."""
    from finetune.config import TrainConfig
    from finetune.training.train import train

    for label, name in enumerate(("ants", "bees")):
        client.post("/v1/teach/classes", json={"name": name})
        for number in range(6):
            add(client, name, 100 * label + number)
    client.post("/v1/teach/training")
    status = ended(client)
    assert (status["stage"], status["error"]) == ("done", "")
    assert any("linear probe" in line for line in status["lines"])  # type: ignore[attr-defined]
    name = client.get("/v1/teach").json()["run"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(Path("another-cache").resolve()))
    run = train(TrainConfig(data=Path("images"), out=Path("mine")))
    model = client.get("/v1/teach/model")
    assert model.headers["content-disposition"] == 'attachment; filename="model.safetensors"'
    assert model.content == run.model.read_bytes()
    assert client.get("/v1/teach/report").content == Run(Path("runs", name)).report.read_bytes()
    about = client.get("/v1/model").json()
    assert (about["name"], about["classes"], about["teaches"]) == (name, ["ants", "bees"], True)


def test_after_a_restart_the_newest_run_of_the_folder_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from finetune.model import save_model
    from finetune.serving.teaching_folder import TeachingFolder

    monkeypatch.chdir(tmp_path)
    service, _ = open_teaching(TeachingFolder(Path("images")))
    starter = service.model.classifier.model
    for name, data in (("1", "images"), ("2", "elsewhere"), ("3", "")):
        run = Run(Path("runs", name))
        run.path.mkdir(parents=True)
        save_model(run.model, starter)
        (run.path / "config.json").write_text(f'{{"data": "{data}"}}' if data else "damaged")
    _, teaching = open_teaching(TeachingFolder(tmp_path / "images"))
    assert teaching.run == Path("runs", "1")
    _, teaching = open_teaching(TeachingFolder(Path("other")))
    assert teaching.run is None
