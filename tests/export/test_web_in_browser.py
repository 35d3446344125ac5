"""The export to the web in headless Chromium: the probabilities of `predict`, and no request to another server.

Skipped without Playwright, Chromium or onnxruntime-web (`npm install --no-save onnxruntime-web` in the checkout).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PilImage
from support.chromium import chromium_page, static_server
from support.exports import onnxruntime_web

from finetune.classifier import load
from finetune.export.export import export

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

AGREE = 1e-3
SECONDS = 120_000  # in milliseconds: a machine that does much else needs a while

PREDICT = """async ({ tenCrop }) => {
    const engine = await import("./engine.js");
    return engine.predict([...document.getElementById("files").files], { top: 1000, tenCrop });
}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photo-like images as files of the kinds that browsers show: sizes, samplings, orientations, transparency."""
    folder = tmp_path_factory.mktemp("files")
    generator = np.random.default_rng(2)
    coarse = generator.integers(0, 256, (9, 12, 3), np.uint8)
    smooth = cv2.resize(coarse, (800, 600), interpolation=cv2.INTER_CUBIC).astype(int)
    pixels = (smooth + generator.integers(-12, 13, smooth.shape)).clip(0, 255).astype(np.uint8)
    cv2.circle(pixels, (300, 260), 140, (230, 60, 40), -1)
    image = PilImage.fromarray(pixels)
    for orientation in (1, 3, 6, 7):
        exif = PilImage.Exif()
        exif[0x0112] = orientation
        image.save(folder / f"exif{orientation}.jpg", quality=92, exif=exif)
    image.save(folder / "progressive.jpg", progressive=True, subsampling=1)
    image.convert("L").save(folder / "gray.jpg")
    image.resize((2600, 1950)).save(folder / "large.jpg")
    image.convert("CMYK").save(folder / "cmyk.jpg", quality=92)
    image.save(folder / "plain.png")
    image.resize((23, 17)).save(folder / "tiny.png")
    image.quantize(64).save(folder / "palette.png")
    transparent = image.convert("RGBA")
    transparent.putalpha(PilImage.fromarray(np.tile(np.arange(800) * 255 // 800, (600, 1)).astype(np.uint8)))
    transparent.save(folder / "transparent.png")
    image.save(folder / "image.webp", quality=90)
    image.save(folder / "image.bmp")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export("starter", "web", tmp_path_factory.mktemp("web") / "starter", runtime=onnxruntime_web()).folder


@pytest.fixture
def page(exported: Path) -> Iterator[Any]:
    """The page, loaded; afterwards, that every request went to its own server, and that nothing was logged."""
    with static_server(exported) as url, chromium_page() as opened:
        requests: list[str] = []
        logged: list[str] = []
        opened.set_default_timeout(SECONDS)
        opened.on("request", lambda request: requests.append(request.url))
        opened.on("console", lambda message: logged.append(message.text))
        opened.on("pageerror", lambda error: logged.append(str(error)))
        opened.goto(url)
        yield opened
        assert [each for each in requests if not each.startswith((url, "blob:", "data:"))] == []
        assert any(each.endswith("/model.onnx.gz") for each in requests)
        assert logged == []


@pytest.mark.parametrize("ten_crop", [False, True])
def test_probabilities_of_predict(page: Any, files: list[Path], ten_crop: bool) -> None:
    page.set_input_files("#files", files)  # which the page classifies, too
    rows = page.evaluate(PREDICT, {"tenCrop": ten_crop})
    predictions = list(load("starter").predict(files, top=200, ten_crop=ten_crop))
    for row, file, prediction in zip(rows, files, predictions, strict=True):
        assert row["path"] == file.name
        assert "error" not in row, row
        found = {score["index"]: score["probability"] for score in row["predictions"]}
        expected = {score.index: score.probability for score in prediction.scores}
        assert max(abs(found[index] - expected[index]) for index in range(200)) <= AGREE, file.name
        assert row["predictions"][0]["label"] == prediction.scores[0].label


def test_the_page_shows_bars_and_what_it_cannot_read(page: Any, files: list[Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(files[1].read_bytes()[:2000])
    text = tmp_path / "text.png"
    text.write_text("not an image")
    assert page.locator("h1").inner_text() != ""
    page.set_input_files("#files", [files[0], cut, text])
    cards = page.locator(".card:not(.waiting)")
    cards.nth(2).wait_for()
    assert page.locator("h1").inner_text() == "starter"
    assert cards.nth(0).locator(".bars li").count() == 5
    assert "cut short" in cards.nth(1).inner_text()
    assert "this browser cannot read the image; convert it to JPEG or PNG" in cards.nth(2).inner_text()
    assert page.locator(".fade:visible").count() == 0, "maps need the server"
