"""Folders of small images that all differ."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from support.encoded_images import encode


def image(number: int, format: str = "PNG") -> bytes:
    """Return a small image that no other number has."""
    return encode(Image.new("RGB", (4, 3), (number % 256, number // 256, 7)), format)


def write_files(root: Path, files: Mapping[str, int | bytes]) -> Path:
    """Write files below `root`: a number stands for an image, bytes are written as they are."""
    root.mkdir(exist_ok=True)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(content) if isinstance(content, int) else content)
    return root
