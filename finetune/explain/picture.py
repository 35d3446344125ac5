"""The picture as the network sees it, to compute with and to draw."""

from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from finetune.data.decode import Image
from finetune.data.pictures import read_picture
from finetune.data.preprocessing import ChannelOrder, Preprocessing
from finetune.errors import ImageError

Number = TypeVar("Number", bound=np.generic)


def read_one(picture: Path | str, preprocessing: Preprocessing) -> Image:
    """Return the network input of a path or URL, as `to_input`; raise ImageError, naming it, when it cannot be read."""
    found = read_picture(picture, preprocessing)
    if isinstance(found, ImageError):
        raise ImageError(f"{picture}: {found}")
    return found


def as_rgb(picture: NDArray[Number], order: ChannelOrder) -> NDArray[Number]:
    """Return three channels in RGB order, the last axis, from channels in `order`."""
    match order:
        case "BGR":
            return picture[..., ::-1]
        case "GRAY":
            return np.repeat(picture, 3, axis=-1)
        case "RGB":
            return picture
