"""Every format through the commands: read by check and score, the same by path and by array; others are named."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Finetune
from PIL import Image
from support.corpus import RGB
from support.encoded_images import encode, tiff

from finetune.classifier import load
from finetune.data.images import read_image

IMAGE = Image.fromarray(RGB)
READ = {
    "a.ppm": encode(IMAGE, "PPM"),
    "a.pgm": encode(IMAGE.convert("L"), "PPM"),
    "a.pbm": encode(IMAGE.convert("1"), "PPM"),
    "plain.pnm": b"P3 56 40 255\n" + " ".join(map(str, RGB.ravel())).encode() + b"\n",
    "a.jp2": encode(IMAGE, "JPEG2000"),
    "a.j2k": encode(IMAGE, "JPEG2000", no_jp2=True),
    "a.avif": encode(IMAGE, "AVIF"),
    "big.tif": encode(IMAGE, "TIFF", big_tiff=True),
}
NAMED = {
    "a.tga": encode(IMAGE, "TGA"),
    "a.ico": encode(IMAGE, "ICO"),
    "a.pcx": encode(IMAGE, "PCX"),
    "a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a.psd": b"8BPS\0\1",
    "a.jxl": b"\xff\x0a\x7f",
    "a.nef": tiff(RGB, 2, more={254: [1]}),
    "a.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "a.HIF": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "nameless": b"8BPS\0\1",
}


def written(folder: Path) -> Path:
    for name, data in (READ | NAMED).items():
        for label in ("ants", "bees"):
            (folder / label).mkdir(parents=True, exist_ok=True)
            (folder / label / f"{label}-{name}").write_bytes(data)
    return folder


@pytest.mark.tensorflow
def test_score_has_a_row_for_every_image(finetune: Finetune, tiny_weights: Path, tmp_path: Path) -> None:
    data, rows = written(tmp_path / "data"), tmp_path / "rows.csv"
    finetune("score", data, "--model", tiny_weights, "--out", rows)
    with rows.open(encoding="utf-8", newline="") as file:
        errors = {Path(row["path"]).name.partition("-")[2]: row["error"] for row in csv.DictReader(file)}
    assert {name for name, error in errors.items() if not error} == set(READ)
    assert {name for name, error in errors.items() if error} == set(NAMED)


def test_check_names_what_is_not_read(finetune: Finetune, tmp_path: Path) -> None:
    """Every file is an image for it; those that are not read are findings with a reason, and counted."""
    code, out, _ = finetune("check", written(tmp_path / "data"), "--html", tmp_path / "check.html")
    assert code == 0
    page = (tmp_path / "check.html").read_text(encoding="utf-8")
    assert all(f"ants-{name}" in page for name in NAMED)
    assert "camera raw is not supported; convert the image to JPEG" in page
    assert f"{2 * len(READ | NAMED)} images, {2 * len(READ)} readable" in out


@pytest.mark.parametrize("name", READ)
def test_the_same_by_path_by_array_and_by_pil_image(
    name: str, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(READ[name])
    pixels = read_image(tmp_path / name)
    classifier = load(tiny_weights)
    by_path, by_array, by_pil = (
        next(iter(classifier.predict(image, **options)))
        for image, options in (
            (tmp_path / name, {}),
            (pixels, {"channel_order": "bgr"}),
            (Image.open(tmp_path / name), {}),
        )
    )
    np.testing.assert_allclose(by_array.probabilities, by_path.probabilities, atol=1e-6)
    np.testing.assert_allclose(by_pil.probabilities, by_path.probabilities, atol=1e-6)
