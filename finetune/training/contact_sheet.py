"""One picture that shows what augmentation does to the training pictures."""

from collections.abc import Sequence
from itertools import islice

import cv2
import numpy as np

from finetune.data.augment import Augmentation, augmented_input, view_generator
from finetune.data.channels import Image
from finetune.data.dataset import Record
from finetune.data.images import read_image
from finetune.data.preprocessing import ChannelOrder, Preprocessing
from finetune.data.resize import resize
from finetune.errors import DataError, ImageError

ROWS, VIEWS = 5, 7  # pictures, and views of each: view 0, as in use, and six augmented ones
TILE, GAP = 96, 4  # pixels: the file takes about 500 kB
HEADER = 22  # pixels
_WHITE = 255
_TO_BGR: dict[ChannelOrder, int] = {"RGB": cv2.COLOR_RGB2BGR, "GRAY": cv2.COLOR_GRAY2BGR}


def contact_sheet(records: Sequence[Record], preprocessing: Preprocessing, augmentation: Augmentation) -> bytes:
    """Return a PNG of five training pictures, evenly chosen: a row each, as in use on the left, then views 1 to 6.

    A strip above the rows says so.

    They are what the network sees before the mean is subtracted, made smaller. Records for validation are passed
    over; in the place of a picture that cannot be read comes another. Raises DataError when none can be read.
    """
    train = [record for record in records if record.split == "train"]
    chosen = np.linspace(0, len(train) - 1, min(len(train), ROWS)).astype(int)
    others = np.setdiff1d(np.arange(len(train)), chosen)
    views = (_row(train[number], preprocessing, augmentation) for number in (*chosen, *others))
    rows = list(islice((row for row in views if row is not None), ROWS))
    if not rows:
        raise DataError(f"expected training pictures for the contact sheet, none of {len(train)} can be read")
    _, content = cv2.imencode(
        ".png", np.vstack([_header(rows[0].shape[1]), *rows])[:-GAP], [cv2.IMWRITE_PNG_COMPRESSION, 9]
    )
    return content.tobytes()


def _header(width: int) -> Image:
    """Return the strip above the rows."""
    strip = np.full((HEADER, width, 3), _WHITE, np.uint8)
    for left, text in ((0, "as it is"), (TILE + 4 * GAP, "views of it, as training sees them")):
        cv2.putText(strip, text, (left, HEADER - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def _row(record: Record, preprocessing: Preprocessing, augmentation: Augmentation) -> Image | None:
    """Return the views of a picture side by side in BGR order, or None when it cannot be read."""
    try:
        image = read_image(record.path, preprocessing.short_side)
    except ImageError:
        return None
    tiles = []
    for view in range(VIEWS):
        pixels = augmented_input(image, preprocessing, view_generator(record.digest, view), augmentation)
        order = preprocessing.channel_order
        bgr: Image = pixels if order == "BGR" else cv2.cvtColor(pixels, _TO_BGR[order])  # type: ignore[assignment]
        # Wider beside the first, which is no augmented one.
        gap = 4 * GAP if view == 0 else GAP
        tiles.append(np.pad(resize(bgr, TILE, TILE), ((0, GAP), (0, gap), (0, 0)), constant_values=_WHITE))
    return np.hstack(tiles)[:, :-GAP]
