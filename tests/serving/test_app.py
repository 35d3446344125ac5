"""The API answers what the command line prints; the page, the reference and the metrics."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.drawn_photos import encoded, photo
from support.served import Client

from finetune.classifier import Classifier
from finetune.model import Model
from finetune.runs.about_model import about_model
from finetune.serving.service import Service

Finetune = Callable[..., tuple[int, str, str]]
IMAGE = encoded(photo(1), ".png")


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Images of several kinds, sizes and shapes, and one that cannot be read."""
    kinds = {"a.jpg": encoded(photo(1, 700, 900)), "b.png": IMAGE, "c.webp": encoded(photo(3, 90, 80), ".webp")}
    for name, data in {**kinds, "d.txt": b"text", "e.bmp": encoded(photo(5, 30, 400), ".bmp")}.items():
        (tmp_path / name).write_bytes(data)
    return sorted(tmp_path.iterdir())


def form(files: list[Path]) -> list[tuple[str, tuple[str, bytes]]]:
    return [("images", (path.name, path.read_bytes())) for path in files]


@pytest.mark.parametrize("options", [{}, {"top": 2}, {"top": 99}, {"ten_crop": True}])
def test_predict(
    client: Client, finetune: Finetune, files: list[Path], tiny_weights: Path, options: dict[str, Any]
) -> None:
    arguments = [f"--top={options.get('top', 5)}", *(["--ten-crop"] if "ten_crop" in options else [])]
    _, out, _ = finetune("predict", *files, "--model", tiny_weights, "--json", *arguments)
    answer = client.post("/v1/predict", params=options, files=form(files))
    assert answer.status_code == 200
    rows = [json.loads(line) for line in out.splitlines()]
    assert answer.json() == [{**row, "path": Path(row["path"]).name} for row in rows]


@pytest.mark.parametrize("layers", ["fc7", "conv5,FC6:linear"])
def test_features(client: Client, tiny_model: Model, files: list[Path], layers: str) -> None:
    names = layers.lower().split(",")
    answer = client.post("/v1/features", params={"layers": layers}, files=form(files))
    assert answer.status_code == 200
    for row, expected in zip(answer.json(), Classifier(tiny_model).features(files, names), strict=True):
        assert row["path"] == Path(expected.path).name
        if expected.values is None:
            assert row["error"] == expected.error
        else:
            assert list(row["features"]) == names
            for name in names:
                np.testing.assert_array_equal(np.float32(row["features"][name]), expected.values[name])


def test_features_of_the_last_layer_but_one(client: Client) -> None:
    assert list(client.post("/v1/features", data=IMAGE).json()[0]["features"]) == ["fc7"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/predict?top=0", "top: Input should be greater than or equal to 1"),
        ("/v1/predict?top=many", "top: Input should be a valid integer, unable to parse string as an integer"),
        ("/v1/features?layers=fc9", "alexnet has no layer 'fc9'"),
        ("/v1/features?layers=", "alexnet has no layer ''; its layers are conv1"),
        ("/v1/explain?label=pink", "the model has no class 'pink'; GET /v1/model lists its classes"),
    ],
)
def test_options_that_are_refused(client: Client, path: str, message: str) -> None:
    answer = client.post(path, data=IMAGE)
    assert answer.status_code == 422
    assert answer.json()["error"].startswith(message)


def test_too_many_features(client: Client) -> None:
    files = [("images", (f"{number}.png", IMAGE)) for number in range(64)]
    answer = client.post("/v1/features?layers=conv1", files=files)
    assert answer.status_code == 422
    assert answer.json() == {
        "error": "1,382,400 numbers are more than the limit of 1,000,000; ask for fewer images or layers, "
        "or use finetune score --features"
    }


def test_explain_takes_one_image(client: Client) -> None:
    answer = client.post("/v1/explain", files=[("images", ("a.png", IMAGE))] * 2)
    assert (answer.status_code, answer.json()) == (
        422,
        {"error": "expected one image, found 2; send a request for each"},
    )


def test_explain_without_tensorflow(client: Client) -> None:
    answer = client.post("/v1/explain", data=IMAGE)
    assert (answer.status_code, answer.json()) == (
        500,
        {"error": "explanations need TensorFlow, which cannot be loaded; the log of the server says why"},
    )


def test_model(client: Client, tiny_model: Model, tiny_weights: Path) -> None:
    assert client.get("/v1/model").json() == json.loads(json.dumps(about_model(tiny_model, tiny_weights)))


def test_health_and_metrics(client: Client, service: Service) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "tensorflow": False}
    before = service.batches.images
    client.post("/v1/predict", data=IMAGE)
    client.get("/no/such/path")
    answer = client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    lines = answer.text.splitlines()
    for line in (
        f"finetune_images_total {before + 1}",
        "finetune_images_waiting 0",
        "finetune_tensorflow 0",
        'finetune_requests_total{route="other",status="404"} 1',
    ):
        assert line in lines


def test_nothing_of_the_disk_can_be_named(client: Client) -> None:
    for path in ("/app.py", "/../app.py", "/page/index.html", "/%2e%2e/app.py", "//etc/passwd", "/index.html"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"error": "Not Found"})


def test_the_reference_names_every_route(client: Client) -> None:
    api = client.get("/openapi.json").json()
    page = client.get("/docs").text
    assert sorted(api["paths"]) == [
        "/healthz", "/metrics", "/v1/explain", "/v1/features", "/v1/model", "/v1/predict",
    ]  # fmt: skip
    for path in api["paths"]:
        assert path in page
    for name in api["components"]["schemas"]:
        assert f'id="{name}"' in page
    for odd in ("Successful Response", "`", "> .", ">False<", "Answer: ."):
        assert odd not in page.partition("<main")[2], (
            "what FastAPI writes where nothing was said, and the marks of Markdown"
        )


def test_another_model_from_now_on(tiny_model: Model, client: Client, service: Service) -> None:
    old = service.model.classifier
    names = tuple(name.upper() for name in tiny_model.class_names)
    service.use(Classifier(Model(tiny_model.network, tiny_model.weights, names)), lambda: {"name": "other"})
    row = client.post("/v1/predict", data=IMAGE).json()[0]
    assert {score["label"] for score in row["predictions"]} == set(names)
    service.use(old, dict)
