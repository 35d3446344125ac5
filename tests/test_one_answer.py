"""One answer everywhere: whatever reads an image, in whatever batch, the probabilities are the same within 1e-4.

Compared with `predict`, one image at a time: batches of any size, in any order, `score`, arrays, the exported
SavedModel, page and API of `serve` and, if installed, Ray; and within 1e-3, with kernels of 16 bits, the page of the
export to the web.
`pytest -s tests/test_one_answer.py` prints the table of largest differences.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.browser import chromium, visiting
from support.exports import onnxruntime_web
from support.served import served
from support.web_page import exported_page, predict_in_page

from finetune.classifier import Classifier, load
from finetune.data.decode import decode
from finetune.export.export import export
from finetune.runs.about_model import about_model

AGREE = 1e-4
AGREE_IN_BROWSER = 1e-3
Answers = NDArray[np.float64]  # (images, classes)


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    """A colourful image of 400 × 300 pixels, RGB: gradients, edges and noise."""
    generator = np.random.default_rng(2)
    coarse = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image = (smooth + generator.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
    cv2.circle(image, (150, 130), 70, (230, 60, 40), -1)
    return image


@pytest.fixture(scope="module")
def files(photo: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The image as files of every common kind."""
    folder = tmp_path_factory.mktemp("kinds")
    image = Image.fromarray(photo)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(folder / f"exif{orientation}.jpg", quality=92, exif=exif)
    image.convert("L").save(folder / "gray.jpg")
    image.convert("L").save(folder / "gray.png")
    transparent = image.convert("RGBA")
    transparent.putalpha(
        Image.fromarray(np.tile(np.arange(400, dtype=np.uint16) * 255 // 400, (300, 1)).astype(np.uint8))
    )
    transparent.save(folder / "rgba.png")
    image.quantize(64).save(folder / "palette.png")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    cv2.imwrite(str(folder / "sixteen.png"), photo[..., ::-1].astype(np.uint16) * 257)
    image.resize((2600, 1950), Image.Resampling.BICUBIC).save(folder / "huge.jpg", quality=92)
    image.resize((2600, 1950), Image.Resampling.BICUBIC).save(folder / "huge.png", compress_level=1)
    image.resize((23, 17)).save(folder / "tiny.png")
    image.save(folder / "image.webp", quality=90)
    image.save(folder / "image.bmp")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load("starter")


@pytest.fixture(scope="module")
def alone(classifier: Classifier, files: list[Path]) -> Answers:
    """The answers of `predict` for each file alone, with which all others are compared."""
    return answers(classifier, files, batch_size=1)


@pytest.fixture(scope="module", autouse=True)
def table(files: list[Path]) -> Iterator[dict[str, float]]:
    """Collect the largest difference of each way, and print the table."""
    found: dict[str, float] = {}
    yield found
    print("\n\n| way | largest difference of a probability |\n|---|---|")
    for way, difference in found.items():
        print(f"| {way} | {difference:.1e} |")


def answers(classifier: Classifier, images: list, batch_size: int, **options: object) -> Answers:
    predictions = list(classifier.predict(images, batch_size=batch_size, **options))  # type: ignore[arg-type]
    assert [prediction.error for prediction in predictions] == [None] * len(images)
    return np.stack([prediction.probabilities for prediction in predictions])  # type: ignore[misc]


def check(table: dict[str, float], way: str, found: Answers, expected: Answers, agree: float = AGREE) -> None:
    table[way] = float(np.abs(found - expected).max())
    assert table[way] <= agree, way


@pytest.mark.tensorflow
@pytest.mark.parametrize("batch_size", [2, 7, 16, 32])
def test_any_batch_size_and_order(
    batch_size: int, classifier: Classifier, files: list[Path], alone: Answers, table: dict[str, float]
) -> None:
    order = list(range(len(files)))
    random.Random(batch_size).shuffle(order)
    found = answers(classifier, [files[i] for i in order], batch_size)
    check(table, f"batches of {batch_size}, shuffled", found, alone[order])


@pytest.mark.tensorflow
def test_exif_turns_give_different_answers(files: list[Path], alone: Answers) -> None:
    """EXIF 1 shows the pixels as stored, 2 to 8 turn or mirror them: eight images, no two with the same answer."""
    turned = [alone[i] for i, path in enumerate(files) if path.name.startswith("exif")]
    assert len(turned) == 8
    assert all(np.abs(a - b).max() > AGREE for i, a in enumerate(turned) for b in turned[:i])


@pytest.mark.tensorflow
@pytest.mark.parametrize("channel_order", ["rgb", "bgr"])
def test_arrays(
    channel_order: str, classifier: Classifier, files: list[Path], alone: Answers, table: dict[str, float]
) -> None:
    """Decoded as files are: a JPEG at least twice as large as needed comes reduced."""
    short_side = classifier.model.network.preprocessing.short_side
    pixels = [decode(path.read_bytes(), short_side).image for path in files]
    images = [array[..., ::-1] if channel_order == "rgb" else array for array in pixels]
    found = answers(classifier, images, 8, channel_order=channel_order)
    check(table, f"arrays, {channel_order}", found, alone)


@pytest.mark.tensorflow
def test_arrays_at_full_size(
    classifier: Classifier, files: list[Path], alone: Answers, table: dict[str, float]
) -> None:
    """A JPEG that is at least twice as large as needed is decoded at a reduced size: the only difference."""
    full = [decode(path.read_bytes()).image for path in files]
    found = answers(classifier, full, 8, channel_order="bgr")
    reduced = [path.name == "huge.jpg" for path in files]
    check(table, "arrays at full size, except huge JPEGs", found[np.invert(reduced)], alone[np.invert(reduced)])
    difference = float(np.abs(found[reduced] - alone[reduced]).max())
    table["arrays at full size, huge JPEGs"] = difference
    assert AGREE < difference < 0.05


def scored(files: list[Path], folder: Path, *options: str) -> Answers:
    """Return what the command `score` writes for the files."""
    out, names = folder / "scores.jsonl", folder / "names.txt"
    names.write_text("".join(f"{path}\n" for path in files))
    command = [sys.executable, "-m", "finetune", "score", f"@{names}", "--model", "starter", "--out", str(out)]
    subprocess.run([*command, "--probabilities", *options], check=True, capture_output=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["path"] for row in rows] == [str(path) for path in files]
    return np.array([row["probabilities"] for row in rows])


@pytest.mark.tensorflow
@pytest.mark.slow
def test_score(files: list[Path], alone: Answers, table: dict[str, float], tmp_path: Path) -> None:
    check(table, "score", scored(files, tmp_path), alone)


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")
def test_ray(files: list[Path], alone: Answers, table: dict[str, float], tmp_path: Path) -> None:
    check(table, "score --engine ray", scored(files, tmp_path, "--engine", "ray", "--batch-size", "4"), alone)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_saved_model(
    files: list[Path], alone: Answers, classifier: Classifier, table: dict[str, float], tmp_path: Path
) -> None:
    import tensorflow as tf

    export("starter", "saved_model", tmp_path / "exported")
    serve: Callable[..., dict[str, tf.Tensor]] = tf.saved_model.load(str(tmp_path / "exported" / "1")).signatures[
        "serving_default"
    ]
    found = serve(image_bytes=tf.constant([path.read_bytes() for path in files]))["probabilities"].numpy()
    check(table, "SavedModel", found, alone)


def page_answers(page: Any, files: list[Path], classes: int) -> Answers:
    """Return what the engine of a page answers in the browser."""
    rows = predict_in_page(page, files)
    assert [row["path"] for row in rows] == [path.name for path in files]
    found = np.zeros((len(files), classes))
    for row, answer in zip(rows, found, strict=True):
        for score in row["predictions"]:
            answer[score["index"]] = score["probability"]
    return found


@pytest.mark.tensorflow
@pytest.mark.slow
def test_page_and_api_of_serve(
    files: list[Path], alone: Answers, classifier: Classifier, table: dict[str, float]
) -> None:
    pytest.importorskip("uvicorn")
    from finetune.serving.service import Service

    service = Service(Classifier(classifier.model), lambda: about_model(classifier.model, "starter"))
    with served(service) as client, chromium() as browser, visiting(browser, client.base) as visit:
        check(table, "page and API of serve", page_answers(visit.page, files, alone.shape[1]), alone)


@pytest.mark.tensorflow
@pytest.mark.slow
def test_page_of_the_export_to_the_web(
    files: list[Path], alone: Answers, table: dict[str, float], tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = export("starter", "web", tmp_path / "exported", runtime=onnxruntime_web()).folder
    with exported_page(folder) as page:
        found = page_answers(page, files, alone.shape[1])
    check(table, "page of the export to the web", found, alone, AGREE_IN_BROWSER)
