"""The page of the export to the web in headless Chromium; `tests/test_one_answer.py` has every kind of file.

Skipped without Playwright, Chromium or onnxruntime-web (`npm install --no-save onnxruntime-web` in the checkout).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import onnxruntime_web
from support.web_page import exported_page, predict_in_page

from finetune.classifier import load
from finetune.export.export import export

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture
def page(weights: Path, tmp_path: Path) -> Iterator[Any]:
    folder = export(str(weights), "web", tmp_path / "web", runtime=onnxruntime_web()).folder
    with exported_page(folder) as opened:
        yield opened


def probabilities(rows: list[Any]) -> NDArray[np.float64]:
    found = [{score["index"]: score["probability"] for score in row["predictions"]} for row in rows]
    return np.array([[row[index] for index in range(len(row))] for row in found])


def test_ten_crops(page: Any, weights: Path, photos: list[Path]) -> None:
    predicted = [each.probabilities for each in load(str(weights)).predict(photos, ten_crop=True)]
    rows = predict_in_page(page, photos, ten_crop=True)
    np.testing.assert_allclose(probabilities(rows), predicted, rtol=0, atol=1e-3)


def test_8_bits_and_a_server_that_knows_gzip(
    weights: Path, photos: list[Path], expected: NDArray[np.float64], tmp_path: Path
) -> None:
    folder = export(str(weights), "web-int8", tmp_path / "web", runtime=onnxruntime_web()).folder
    with exported_page(folder, encoding=True) as page:
        np.testing.assert_allclose(probabilities(predict_in_page(page, photos)), expected, rtol=0, atol=0.02)


def test_bars_and_what_cannot_be_read(page: Any, photos: list[Path], tmp_path: Path) -> None:
    cut, text = tmp_path / "cut.jpg", tmp_path / "text.png"
    cut.write_bytes(photos[0].read_bytes()[:2000])
    text.write_text("not an image", encoding="utf-8")
    page.set_input_files("#files", [photos[0], cut, text])
    cards = page.locator(".card:not(.waiting)")
    cards.nth(2).wait_for()
    assert page.locator("h1").inner_text() == "tiny.safetensors"
    assert cards.nth(0).locator(".bars li").count() == 3
    assert "cut short" in cards.nth(1).inner_text()
    assert "this browser cannot read the image; convert it to JPEG or PNG" in cards.nth(2).inner_text()
    assert page.locator(".fade:visible").count() == 0, "maps need gradients"
