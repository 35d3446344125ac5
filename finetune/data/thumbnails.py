"""Small copies of images for pages."""

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
    found = zip(unique, parallel_map(thumbnail, unique), strict=True)
    uris = ((path, jpeg and f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}") for path, jpeg in found)
    return {str(path): uri for path, uri in uris if uri}


def thumbnail(path: Path) -> bytes | None:
    """Return an image of at most SIDE × SIDE pixels as a JPEG, or None if it cannot be read."""
    try:
        image = read_image(path, SIDE)
    except ImageError:
        return None
    height, width = image.shape[:2]
    scale = min(1, SIDE / max(height, width))
    small = resize(image, max(1, round(scale * width)), max(1, round(scale * height)))
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return content.tobytes()
