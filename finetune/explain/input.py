"""The picture as the network sees it, to compute with and to draw."""

from pathlib import Path

from finetune.data.channels import Image
from finetune.data.images import read_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError


def read_one(picture: Path | str, preprocessing: Preprocessing) -> Image:
    """Return the network input of a path or URL, as `to_input`; raise ImageError, naming it, when it cannot be read."""
    found = read_input(picture, preprocessing)
    if isinstance(found, ImageError):
        raise ImageError(f"{picture}: {found}")
    return found
