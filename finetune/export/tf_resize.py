"""OpenCV's resizing as TensorFlow operations: the same bits, except for sums within a rounding error of .5.

The formulas are those of OpenCV's modules/imgproc/src/resize.cpp for 8 bits: INTER_AREA, and INTER_LINEAR with its
coefficients of 11 bits.
"""

import tensorflow as tf

from finetune.choices import Interpolation
from finetune.data.preprocessing import Preprocessing

_ONE = 2048  # INTER_RESIZE_COEF_SCALE
_LEAST = 1e-3  # OpenCV ignores a smaller fraction of a pixel


def to_input(image: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """Return what `finetune.data.network_input.to_input` makes of an upright RGB image (height, width, 3) uint8.

    (size, size, channels) uint8: RGB, or gray where the network takes gray.
    """
    side = preprocessing.size
    if preprocessing.resize == "warp":
        square = resize(image, tf.constant(side), tf.constant(side), preprocessing.interpolation)
    else:
        image = _without_ends(image)
        height, width = tf.shape(image)[0], tf.shape(image)[1]
        scale = preprocessing.resize_to / tf.cast(tf.minimum(height, width), tf.float64)
        new_height, new_width = (
            tf.maximum(side, tf.cast(tf.round(tf.cast(length, tf.float64) * scale), tf.int32))
            for length in (height, width)
        )
        resized = resize(image, new_width, new_height, preprocessing.interpolation)
        top, left = (new_height - side) // 2, (new_width - side) // 2
        square = resized[top : top + side, left : left + side]
    if preprocessing.channel_order == "GRAY":
        # cv2.COLOR_BGR2GRAY: 0.299, 0.587 and 0.114 in 15 bits
        square = tf.tensordot(tf.cast(square, tf.int32), tf.constant([[9798], [19235], [3735]]), 1)
        square = tf.cast((square + 2**14) // 2**15, tf.uint8)
    return tf.ensure_shape(square, (side, side, preprocessing.channels))


def resize(image: tf.Tensor, width: tf.Tensor, height: tf.Tensor, interpolation: Interpolation = "area") -> tf.Tensor:
    """Return what `finetune.data.resize.resize` makes of an image (height, width, channels) uint8."""
    if interpolation == "linear":
        return _linear(image, width, height, tf.constant(False))
    old_height, old_width = tf.shape(image)[0], tf.shape(image)[1]
    # int64: the number of pixels can pass 2^31 when a long image is enlarged.
    shrinks = tf.cast(width, tf.int64) * tf.cast(height, tf.int64) < tf.size(image[..., 0], tf.int64)
    both = (width <= old_width) & (height <= old_height)
    return tf.cond(
        shrinks & both,
        lambda: _area(image, width, height),
        lambda: _linear(image, width, height, shrinks),
    )


def _without_ends(image: tf.Tensor) -> tf.Tensor:
    """Return the middle of a very long image, as `finetune.data.resize` does."""
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    longest = 4 * tf.minimum(height, width)
    top, left = tf.maximum(0, height - longest) // 2, tf.maximum(0, width - longest) // 2
    return image[top : height - top, left : width - left]


def _area(image: tf.Tensor, width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    """Return the averages over the old pixels that each new one covers; no side is enlarged."""
    old_height, old_width = tf.shape(image)[0], tf.shape(image)[1]
    columns, rows = _shares(old_width, width), _shares(old_height, height)
    means = tf.einsum("jw,hwc->hjc", columns, tf.cast(image, tf.float32))
    means = tf.einsum("ih,hjc->ijc", rows, means)
    # OpenCV has a separate path for exactly half the size, which rounds .5 up; otherwise it rounds to even.
    half = (old_height == 2 * height) & (old_width == 2 * width)
    rounded = tf.where(half, tf.floor(means + 0.5), tf.round(means))
    return tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)


def _shares(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """Return the (new, old) matrix of the fraction that each old pixel contributes to each new one."""
    length = tf.cast(old, tf.float64)
    scale = length / tf.cast(new, tf.float64)
    start = tf.cast(tf.range(new), tf.float64) * scale
    end = start + scale
    cell = tf.minimum(scale, length - start)
    pixel = tf.cast(tf.range(old), tf.float64)[None]
    overlap = tf.minimum(pixel + 1, end[:, None]) - tf.maximum(pixel, start[:, None])
    overlap = tf.where(overlap > _LEAST, tf.minimum(overlap, 1), 0)
    return tf.cast(overlap / cell[:, None], tf.float32)


def _linear(image: tf.Tensor, width: tf.Tensor, height: tf.Tensor, area: tf.Tensor) -> tf.Tensor:
    """Return the linear interpolation in integers; `area`: INTER_AREA, which is used when only one side grows."""
    first, second, left, right = _coefficients(tf.shape(image)[1], width, area)
    at_end = first == second  # at both ends of a row, unlike a column, only the last pixel counts
    left, right = tf.where(at_end, _ONE, left), tf.where(at_end, 0, right)
    pixels = tf.cast(image, tf.int32)
    wide = (
        tf.gather(pixels, first, axis=1) * left[None, :, None]
        + tf.gather(pixels, second, axis=1) * right[None, :, None]
    )
    first, second, above, below = _coefficients(tf.shape(image)[0], height, area)
    upper = (tf.gather(wide, first) // 2**4) * above[:, None, None] // 2**16
    lower = (tf.gather(wide, second) // 2**4) * below[:, None, None] // 2**16
    return tf.cast((upper + lower + 2) // 4, tf.uint8)


def _coefficients(old: tf.Tensor, new: tf.Tensor, area: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return, for each new pixel, the two old ones that it lies between and their weights in units of 1 / 2048."""
    position = tf.cast(tf.range(new), tf.float64)
    scale, inverse = old / new, new / old
    middle = tf.cast((position + 0.5) * scale - 0.5, tf.float32)
    start = tf.where(area, tf.floor(position * scale), tf.cast(tf.floor(middle), tf.float64))
    covered = tf.cast(position + 1 - (start + 1) * inverse, tf.float32)
    covered = tf.where(covered <= 0, 0.0, covered - tf.floor(covered))
    fraction = tf.where(area, covered, middle - tf.floor(middle))
    first = tf.cast(start, tf.int32)
    weights = (tf.cast(tf.round(part * _ONE), tf.int32) for part in (1 - fraction, fraction))
    return (*(tf.clip_by_value(index, 0, old - 1) for index in (first, first + 1)), *weights)
