"""Preprocessing in JavaScript, run by node: JPEGs decoded to the same bits, and the same network input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image as PilImage
from support.node import as_pixels, rgb_job, run_in_node

from finetune.data.channels import Image, to_rgb
from finetune.data.decode import decode
from finetune.data.images import ten_crop_preprocessing, ten_crops
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing

CROP = Preprocessing(size=57, mean=(0, 0, 0), channel_order="RGB")
GEOMETRIES = [
    CROP,
    replace(CROP, resize="warp"),
    replace(CROP, channel_order="BGR", resize_to=57),
    Preprocessing(size=28, mean=(0,), std=(255,), channel_order="GRAY", resize_to=28),
    replace(CROP, interpolation="linear"),
    replace(CROP, resize="warp", interpolation="linear"),
]
shown = "{0.resize} {0.size} {0.channel_order} {0.interpolation}".format
SAMPLINGS = ("444", "422", "420", "440", "411", "Gray")


def colourful(height: int, width: int, seed: int) -> Image:
    """Return edges, gradients and noise, BGR."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (height // 9 + 2, width // 9 + 2, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return (smooth + generator.integers(-20, 20, smooth.shape)).clip(0, 255).astype(np.uint8)


def sizes() -> list[tuple[int, int]]:
    """Return heights and widths at random, and those in which a way of resizing begins or ends."""
    generator = np.random.default_rng(7)
    special = [(1, 1), (1, 500), (500, 1), (57, 57), (114, 114), (114, 57), (128, 128), (64, 200), (58, 56), (57, 300)]
    return [*special, *map(tuple, generator.integers(1, 400, (40, 2)).tolist())]


@pytest.mark.parametrize("preprocessing", GEOMETRIES, ids=shown)
def test_network_input_within_one_gray_value(preprocessing: Preprocessing) -> None:
    """The order of a sum decides how .5 is rounded; nothing else may differ."""
    images = [colourful(*size, seed) for seed, size in enumerate(sizes())]
    jobs = [rgb_job(image) | {"preprocessing": preprocessing.to_json()} for image in images]
    for image, (answer,) in zip(images, run_in_node(jobs), strict=True):
        expected = to_input(image, preprocessing)
        expected = expected if preprocessing.channels == 1 else to_rgb(expected, preprocessing.channel_order)
        same(as_pixels(answer), expected, image.shape)


def same(found: NDArray[np.uint8], expected: Image, shape: tuple[int, ...]) -> None:
    difference = np.abs(found.reshape(expected.shape).astype(int) - expected)
    assert difference.max() <= 1, shape
    assert (difference > 0).mean() <= 0.01, shape


@pytest.mark.parametrize("preprocessing", GEOMETRIES, ids=shown)
def test_ten_crops(preprocessing: Preprocessing) -> None:
    image = colourful(90, 131, seed=3)
    (answer,) = run_in_node([rgb_job(image) | {"preprocessing": preprocessing.to_json(), "tenCrops": True}])
    square = to_input(image, ten_crop_preprocessing(preprocessing))
    crops = ten_crops(square, preprocessing.size)
    assert len(answer) == len(crops) == 10
    for found, crop in zip(answer, crops, strict=True):
        rgb = crop if preprocessing.channels == 1 else to_rgb(crop, preprocessing.channel_order)
        same(as_pixels(found), rgb, image.shape)


def jpegs(folder: Path) -> list[Path]:
    """Write JPEGs of every sampling, baseline and progressive, with and without restart markers."""
    files = []
    for seed, (height, width) in enumerate([(1, 1), (3, 2), (8, 8), (17, 33), (64, 64), (63, 65), (5, 90), (121, 97)]):
        image = colourful(height, width, seed)
        for sampling in SAMPLINGS:
            pixels = image if sampling != "Gray" else np.ascontiguousarray(image[..., :1])
            space = "GRAY" if sampling == "Gray" else "BGR"
            baseline = simplejpeg.encode_jpeg(pixels, quality=80, colorspace=space, colorsubsampling=sampling)
            files.append(folder / f"{height}x{width}-{sampling}.jpg")
            files[-1].write_bytes(baseline)
        for subsampling in (0, 1, 2):
            for options in ({"progressive": True}, {"restart_marker_blocks": 3}, {"quality": 20, "optimize": True}):
                files.append(folder / f"{height}x{width}-{subsampling}-{next(iter(options))}.jpg")
                PilImage.fromarray(image).save(files[-1], subsampling=subsampling, **options)
    return files


def check_decoded(files: list[Path], short_sides: tuple[int, ...]) -> None:
    jobs: list[dict[str, Any]] = [{"file": str(file), "shortSide": side} for file in files for side in short_sides]
    for job, answer in zip(jobs, run_in_node(jobs), strict=True):
        assert "error" not in answer, job
        expected = decode(Path(job["file"]).read_bytes(), job["shortSide"]).image[..., ::-1]
        found = as_pixels(answer["data"]).reshape(answer["height"], answer["width"], 3)
        np.testing.assert_array_equal(found, expected, err_msg=str(job))


def test_jpegs_at_every_size_to_the_bit(tmp_path: Path) -> None:
    check_decoded(jpegs(tmp_path), (1000, 30, 15, 2))


def test_cmyk(tmp_path: Path) -> None:
    """YCCK, too: the same planes, of which the Adobe marker says that the first three are YCbCr."""
    image = PilImage.fromarray(colourful(121, 97, 4)).convert("CMYK")
    image.save(tmp_path / "cmyk.jpg", quality=90, subsampling=0)
    data = (tmp_path / "cmyk.jpg").read_bytes()
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    (tmp_path / "ycck.jpg").write_bytes(data[:at] + b"\2" + data[at + 1 :])
    check_decoded([tmp_path / "cmyk.jpg", tmp_path / "ycck.jpg"], (1000, 30))


def test_orientations(tmp_path: Path) -> None:
    image = PilImage.fromarray(colourful(40, 61, 1))
    files = []
    for orientation in range(10):  # 0 and 9 are invalid
        exif = PilImage.Exif()
        exif[0x010F] = "maker"
        exif[0x0112] = orientation
        files.append(tmp_path / f"{orientation}.jpg")
        image.save(files[-1], exif=exif)
    check_decoded(files, (1000, 12))


def test_photos_to_the_bit(shared: Path) -> None:
    check_decoded(sorted((shared / "data").rglob("*.jp*g"))[::25], (1000, 163))


def test_junk_between_segments_is_skipped(tmp_path: Path) -> None:
    data = simplejpeg.encode_jpeg(colourful(40, 50, 2), colorspace="BGR")
    (tmp_path / "junk.jpg").write_bytes(data[:20] + b"\0\0\xff\xff" + data[20:])
    check_decoded([tmp_path / "junk.jpg"], (1000,))


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["open", "closed again"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98, 0.999])
def test_a_truncated_jpeg_is_an_error(kept: float, end: bytes, tmp_path: Path) -> None:
    data = simplejpeg.encode_jpeg(colourful(80, 90, 2), colorspace="BGR")
    (tmp_path / "cut.jpg").write_bytes(data[: int(kept * len(data)) - 2] + end)
    (answer,) = run_in_node([{"file": str(tmp_path / "cut.jpg"), "shortSide": 20}])
    assert "cut short" in answer["error"]


def test_damage_is_an_error_or_an_image(tmp_path: Path) -> None:
    """Bytes changed at random, with the same faults in every run: in time, and in words."""
    generator = np.random.default_rng(5)
    jobs = []
    for number in range(300):
        image = PilImage.fromarray(colourful(40, 50, 2))
        image.save(tmp_path / "sound.jpg", progressive=bool(number % 2))
        data = bytearray((tmp_path / "sound.jpg").read_bytes())
        for _ in range(number % 4 + 1):
            data[generator.integers(2, len(data))] = generator.integers(256)
        (tmp_path / f"{number}.jpg").write_bytes(data)
        jobs.append({"file": str(tmp_path / f"{number}.jpg"), "shortSide": 20})
    errors = [answer["error"] for answer in run_in_node(jobs) if "error" in answer]
    other_kind = "this browser cannot read the image; convert it to JPEG or PNG"  # and node, which is none, either
    assert 30 < len(errors) < 300
    for error in errors:
        assert error.startswith("the JPEG data is damaged") or error.endswith("shrink it") or error == other_kind


def test_a_claimed_size_costs_nothing(tmp_path: Path) -> None:
    data = bytearray(simplejpeg.encode_jpeg(colourful(80, 90, 2), colorspace="BGR"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "huge.jpg").write_bytes(data)
    (answer,) = run_in_node([{"file": str(tmp_path / "huge.jpg"), "shortSide": 20}])
    assert answer["error"] == "65535×65535 pixels are more than the limit of 100 megapixels; shrink it"
