"""The routes of `finetune teach` that use the folder: check, training, and the files to take away."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from support import taught
from support.drawn_photos import encoded, photo
from support.served import Client

from finetune.runs.run import Run


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.chdir(tmp_path)
    with taught.teaching_client(Path("images")) as opened:
        yield opened


def test_what_check_finds(client: Client) -> None:
    answer = client.get("/v1/teach/check")
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("expected class folders with images in images, found none")
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
    one, two = taught.add(client, "ants", 1), taught.add(client, "ants", 2)
    Path("images", two).write_bytes(Path("images", one).read_bytes())
    found = {each["kind"]: each for each in client.get("/v1/teach/check").json()}
    assert next(iter(found)) == "empty-class", "hard ones first"
    assert found["empty-class"]["messages"] == ["class 'bees' has no images"]
    assert found["identical"]["severity"] == "soft"
    assert found["identical"]["count"] == 1
    assert found["identical"]["images"] == sorted([one, two])


def test_a_name_that_is_not_utf8_is_counted_checked_and_in_the_zip(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    Path("images/ants/fourmi \udce9.jpg").write_bytes(encoded(photo(1)))
    Path("images/ants/notes.\udce9").write_text("words")
    assert taught.counts(client) == {"ants": 1}
    assert client.get("/v1/teach/classes/ants/images").json() == []
    found = {each["kind"]: each for each in client.get("/v1/teach/check").json()}
    assert found["passed-over"]["messages"] == [r"1 with extension .\xe9"]
    with ZipFile(BytesIO(client.get("/v1/teach/images.zip").content)) as archive:
        assert archive.namelist() == [r"ants/fourmi \xe9.jpg"]


def test_the_zip_has_a_folder_for_each_class(client: Client) -> None:
    client.post("/v1/teach/classes", json={"name": "ants"})
    names = sorted(taught.add(client, "ants", number) for number in range(3))
    answer = client.get("/v1/teach/images.zip")
    assert answer.headers["content-disposition"] == 'attachment; filename="images.zip"'
    with ZipFile(BytesIO(answer.content)) as archive:
        assert archive.namelist() == names
        assert archive.read(names[0]) == Path("images", names[0]).read_bytes()


def test_a_training_that_fails_says_why_and_changes_nothing(client: Client) -> None:
    """In a process of its own, as every training; the error comes before TensorFlow."""
    for name in ("ants", "bees"):
        client.post("/v1/teach/classes", json={"name": name})
        Path("images", name, "words.jpg").write_text("words")
    assert client.post("/v1/teach/training").json() == {"stage": "running"}
    answer = client.post("/v1/teach/training")
    assert answer.status_code == 409
    assert answer.json() == {"error": "a training is running already; wait until it is done"}
    answer = client.request("DELETE", "/v1/teach/images/ants/words.jpg")
    assert answer.status_code == 409
    assert "while a training reads the images; wait until it is done" in answer.json()["error"]
    status = taught.ended(client)
    assert status["stage"] == "failed"
    assert str(status["error"]).startswith("no readable image was found; 2 skipped, the first: images/ants/words.jpg")
    assert client.request("DELETE", "/v1/teach/images/ants/words.jpg").status_code == 204
    assert client.get("/v1/teach").json()["run"] is None
    assert not Path("runs").exists() or not list(Path("runs").iterdir())


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_model_is_that_of_train_to_the_bit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained by the page and, without its cached features, by the library as the command line does."""
    from finetune.config import TrainConfig
    from finetune.training.train import train

    for label, name in enumerate(("ants", "bees")):
        client.post("/v1/teach/classes", json={"name": name})
        for number in range(6):
            taught.add(client, name, 100 * label + number)
    client.post("/v1/teach/training")
    status = taught.ended(client)
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
    from finetune.serving.teaching import open_teaching
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
