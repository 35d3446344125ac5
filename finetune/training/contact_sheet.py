"""One image that shows what augmentation does to the training images."""

from collections.abc import Sequence
from itertools import islice

import cv2
import numpy as np

from finetune.data.augment import Augmentation, augmented_input, view_generator
from finetune.data.channels import Image, to_rgb
from finetune.data.dataset import Record
from finetune.data.images import read_image
from finetune.data.preprocessing import Preprocessing
from finetune.data.resize import resize
from finetune.errors import DataError, ImageError

ROWS, VIEWS = 5, 7  # images, and views of each: view 0, which is not augmented, and six that are
TILE, GAP = 96, 4  # pixels: the file takes about 500 kB
HEADER = 22  # pixels high
_WHITE = 255


def contact_sheet(records: Sequence[Record], preprocessing: Preprocessing, augmentation: Augmentation) -> bytes:
    """Return a PNG of five training images, evenly spaced: a row each, the original on the left, then views 1 to 6.

    They are what the network sees before the mean is subtracted, made smaller; a strip above the rows labels the
    columns. Validation images are skipped, and another image replaces one that cannot be read. Raises DataError when
    none can be read.
    """
    train = [record for record in records if record.split == "train"]
    chosen = np.linspace(0, len(train) - 1, min(len(train), ROWS)).astype(int)
    others = np.setdiff1d(np.arange(len(train)), chosen)
    views = (_row(train[number], preprocessing, augmentation) for number in (*chosen, *others))
    rows = list(islice((row for row in views if row is not None), ROWS))
    if not rows:
        raise DataError(f"expected training images for the contact sheet, but none of {len(train)} can be read")
    rgb = np.vstack([_header(rows[0].shape[1]), *rows])[:-GAP]
    _, content = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return content.tobytes()


def _header(width: int) -> Image:
    """Return the strip above the rows that labels the columns."""
    strip = np.full((HEADER, width, 3), _WHITE, np.uint8)
    for left, text in ((0, "original"), (TILE + 4 * GAP, "augmented views, as training sees them")):
        cv2.putText(strip, text, (left, HEADER - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _row(record: Record, preprocessing: Preprocessing, augmentation: Augmentation) -> Image | None:
    """Return the views of an image side by side in RGB order, or None if it cannot be read."""
    try:
        image = read_image(record.path, preprocessing.short_side)
    except ImageError:
        return None
    tiles = []
    for view in range(VIEWS):
        pixels = augmented_input(image, preprocessing, view_generator(record.digest, view), augmentation)
        tile = resize(to_rgb(pixels, preprocessing.channel_order), TILE, TILE)
        gap = 4 * GAP if view == 0 else GAP  # wider after the original
        tiles.append(np.pad(tile, ((0, GAP), (0, gap), (0, 0)), constant_values=_WHITE))
    return np.hstack(tiles)[:, :-GAP]
