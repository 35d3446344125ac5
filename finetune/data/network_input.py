"""From the upright pixels of an image to the square that a network takes."""

from finetune.data.channels import Image, in_channel_order
from finetune.data.preprocessing import Preprocessing
from finetune.data.resize import resize, resize_for_crop


def to_input(image: Image, preprocessing: Preprocessing) -> Image:
    """Return the network's input, uint8 (size, size, channels), from a BGR image; the mean is not subtracted yet.

    "crop" takes the centre of the resized image, "warp" squeezes all of it into the square. Channels are in the
    preprocessing's order.
    """
    size = preprocessing.size
    if preprocessing.resize == "warp":
        square = resize(image, size, size, preprocessing.interpolation)
        return in_channel_order(square, preprocessing.channel_order)
    resized = resize_for_crop(image, preprocessing)
    top, left = ((length - size) // 2 for length in resized.shape[:2])
    return in_channel_order(resized[top : top + size, left : left + size], preprocessing.channel_order)
