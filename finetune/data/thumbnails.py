"""Small copies of images for reports."""

import base64
from collections.abc import Iterable
from pathlib import Path

import cv2

from finetune.data.images import read_image
from finetune.data.resize import resize
from finetune.errors import ImageError
from finetune.system.parallel import parallel_map

SIDE = 160  # pixels at most: 24 thumbnails take about 150 kB
_QUALITY = 80  # of 100, of the JPEG


def thumbnails(paths: Iterable[Path]) -> dict[str, str]:
    """Return path -> JPEG as a data: URI, except for images that cannot be read."""
    unique = list(dict.fromkeys(paths))
    found = zip(unique, parallel_map(_thumbnail, unique), strict=True)
    return {str(path): uri for path, uri in found if uri is not None}


def _thumbnail(path: Path) -> str | None:
    try:
        image = read_image(path, SIDE)
    except ImageError:
        return None
    height, width = image.shape[:2]
    scale = min(1, SIDE / max(height, width))
    small = resize(image, max(1, round(scale * width)), max(1, round(scale * height)))
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(content.tobytes()).decode()}"
