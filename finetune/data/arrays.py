"""Arrays as images: what a script hands over instead of files; their channel order is never guessed."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.errors import UsageError

ArrayOrder = Literal["rgb", "bgr"]  # of the channels of a colour array


def array_to_bgr(array: NDArray[Any], channel_order: ArrayOrder | None) -> Image:
    """Return an array as the decoder returns images: (height, width, 3) uint8 in BGR order.

    `array` is uint8, (height, width, 3) in `channel_order`, or (height, width) for gray. The order is never guessed:
    RGB mistaken for BGR silently costs accuracy. Raises UsageError for any other array.
    """
    if array.dtype != np.uint8:
        raise UsageError(f"expected an array of uint8, 0 to 255, got {array.dtype}; convert it")
    gray = array.ndim == 2
    if not (gray or (array.ndim == 3 and array.shape[2] == 3)) or 0 in array.shape:
        raise UsageError(f"expected an array (height, width, 3) or, for gray, (height, width), got {array.shape}")
    if gray:
        return np.repeat(array[..., None], 3, axis=2)
    if channel_order not in ("rgb", "bgr"):
        raise UsageError(
            f"a colour array needs channel_order 'rgb' or 'bgr', which is never guessed; got {channel_order!r}"
        )
    return np.ascontiguousarray(array[..., ::-1] if channel_order == "rgb" else array)
