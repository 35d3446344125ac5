"""Thumbnails: small, upright, with the image's shape and colours; unreadable files have none."""

import base64
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from finetune.data.thumbnails import thumbnails


def decoded(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/jpeg;base64,/9j/")  # FF D8 FF, which begins every JPEG
    image = cv2.imdecode(np.frombuffer(base64.b64decode(uri.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def test_thumbnails_are_small_and_keep_shape_and_colours(tmp_path: Path) -> None:
    wide, tall, tiny, broken = (tmp_path / f"{name}.png" for name in ("wide", "tall", "tiny", "broken"))
    cv2.imwrite(str(wide), np.full((300, 1000, 3), (255, 0, 0), np.uint8))
    cv2.imwrite(str(tall), np.zeros((320, 80, 3), np.uint8))
    cv2.imwrite(str(tiny), np.zeros((1, 9, 3), np.uint8))
    broken.write_bytes(b"words")
    found = thumbnails([wide, broken, tall, tiny, wide, tmp_path / "gone.png"])
    assert list(found) == [str(wide), str(tall), str(tiny)]
    shapes = {Path(path).stem: decoded(uri).shape[:2] for path, uri in found.items()}
    assert shapes == {"wide": (48, 160), "tall": (160, 40), "tiny": (1, 9)}
    np.testing.assert_allclose(decoded(found[str(wide)]).mean(axis=(0, 1)), (255, 0, 0), atol=3)
    assert all(len(uri) < 2000 for uri in found.values())


def test_a_thumbnail_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=exif)
    (uri,) = thumbnails([tmp_path / "turned.jpg"]).values()
    assert decoded(uri).shape[:2] == (40, 20)
