"""`finetune.data.decode` as TensorFlow operations: from the bytes of an image file to its pixels, within a graph.

TensorFlow cannot decode TIFF or compressed BMP files. Transparent pixels of a GIF become black.
"""

import tensorflow as tf

from finetune.export.tf_exif import jpeg_orientation, png_orientation, webp_orientation

EXPECTED = "not an image that can be read here: expected JPEG, PNG, GIF, WebP or BMP"


def decode(data: tf.Tensor, short_side: int | None) -> tf.Tensor:
    """Return the upright image (height, width, 3) uint8 RGB encoded in a scalar string, transparency over white.

    `short_side`: how many pixels the short side must keep, as in `finetune.data.decode.decode`. When the graph runs, an
    image that cannot be read raises InvalidArgumentError.
    """

    def starts(text: bytes, at: int = 0) -> tf.Tensor:
        return tf.strings.substr(head, at, len(text)) == text

    head = tf.strings.substr(tf.strings.join([data, b"\0" * 12]), 0, 12)
    image = tf.case(
        [
            (starts(b"\xff\xd8\xff"), lambda: _upright(_jpeg(data, short_side), jpeg_orientation(data))),
            (starts(b"\x89PNG\r\n\x1a\n"), lambda: _upright(_png(data), png_orientation(data))),
            (starts(b"RIFF") & starts(b"WEBP", 8), lambda: _upright(_webp(data), webp_orientation(data))),
            (starts(b"GIF8"), lambda: _gif(data)),
            (starts(b"BM"), lambda: _bmp(data)),
        ],
        default=lambda: _checked(tf.constant(False), tf.zeros((1, 1, 3), tf.uint8), EXPECTED),
    )
    return tf.ensure_shape(image, (None, None, 3))


def _jpeg(data: tf.Tensor, short_side: int | None) -> tf.Tensor:
    """Return the image, at 1/2, 1/4 or 1/8 of its size if that leaves enough pixels."""
    shape = tf.image.extract_jpeg_shape(data)
    shorter = tf.minimum(shape[0], shape[1])
    reduction = tf.constant(0)
    if short_side is not None:
        reduction = sum(tf.cast(shorter >= ratio * short_side, tf.int32) for ratio in (2, 4, 8))

    def at(ratio: int) -> tf.Tensor:
        return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

    image = tf.switch_case(reduction, [lambda: at(1), lambda: at(2), lambda: at(4), lambda: at(8)])
    # Converting CMYK, OpenCV rounds up where TensorFlow rounds down.
    return tf.cond(shape[2] == 4, lambda: tf.minimum(image, 254) + 1, lambda: image)


def _png(data: tf.Tensor) -> tf.Tensor:
    def deep() -> tf.Tensor:
        image = tf.io.decode_png(data, channels=4, dtype=tf.uint16)
        return tf.cast(tf.bitwise.right_shift(image, tf.constant(8, tf.uint16)), tf.uint8)

    depth = _little_endian(data, 24, 1)  # bits per sample, from IHDR
    # Not 16 bits for every file: palettes would get wrong colours.
    image = tf.cond(depth == 16, deep, lambda: tf.io.decode_png(data, channels=4))
    # Without transparency TensorFlow fills in the largest number of the file's own depth, 15 for 4 bits.
    filled = tf.cast(2 ** tf.minimum(depth, 8) - 1, tf.uint8)
    opaque = tf.reduce_all(image[..., 3] == filled)
    return tf.cond(opaque, lambda: image[..., :3], lambda: _over_white(image[..., :3], image[..., 3:]))


def _webp(data: tf.Tensor) -> tf.Tensor:
    image = _decoded(data)
    return tf.cond(tf.shape(image)[2] == 4, lambda: _over_white(image[..., :3], image[..., 3:]), lambda: image)


def _gif(data: tf.Tensor) -> tf.Tensor:
    """Return the first frame, which must cover the whole image."""
    image = _decoded(data)
    size = _little_endian(data, 8, 2), _little_endian(data, 6, 2)
    whole = tf.reduce_all(tf.shape(image)[:2] == tf.stack(size))
    return _checked(whole, image, "the first frame of the GIF covers only part of it; convert the image")


def _decoded(data: tf.Tensor) -> tf.Tensor:
    # The general operation, since servers older than decode_webp cannot load a graph that uses that one.
    image = tf.io.decode_image(data, channels=0, expand_animations=False)
    image.set_shape((None, None, None))
    return image


def _bmp(data: tf.Tensor) -> tf.Tensor:
    """Return the pixels of an uncompressed BMP: 24 bits, 32 bits with an unused fourth byte, or a palette."""
    bits, compression = _little_endian(data, 28, 2), _little_endian(data, 30, 4)
    known = (compression == 0) & tf.reduce_any(bits == [8, 24, 32])
    data = _checked(known, data, "the BMP is compressed, or does not have 8, 24 or 32 bits; convert the image")
    image = tf.io.decode_bmp(data, channels=0)

    def colored() -> tf.Tensor:
        start, end = 14 + _little_endian(data, 14, 4), _little_endian(data, 10, 4)
        palette = tf.io.decode_raw(tf.strings.substr(data, start, end - start), tf.uint8)
        return tf.gather(tf.reshape(palette, (-1, 4))[:, 2::-1], tf.cast(image[..., 0], tf.int32))

    return tf.cond(bits == 8, colored, lambda: image[..., :3])


def _over_white(color: tf.Tensor, opacity: tf.Tensor) -> tf.Tensor:
    """Return the colours laid over white by their opacity, rounded as in `finetune.data.decode`."""
    color, opacity = tf.cast(color, tf.int32), tf.cast(opacity, tf.int32)
    return tf.cast(tf.minimum((color * opacity + 127) // 255 + 255 - opacity, 255), tf.uint8)


def _upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undo an EXIF orientation, in the same steps as `finetune.data.exif`."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    upside_down = tf.reduce_any(orientation == [3, 4, 7, 8])
    image = tf.cond(upside_down, lambda: tf.reverse(image, [0]), lambda: image)
    mirrored = tf.reduce_any(orientation == [2, 3, 6, 7])
    return tf.cond(mirrored, lambda: tf.reverse(image, [1]), lambda: image)


def _checked(holds: tf.Tensor, value: tf.Tensor, message: str) -> tf.Tensor:
    """Return `value`; if `holds` is false, running the graph fails with `message`."""
    with tf.control_dependencies([tf.debugging.Assert(holds, [message])]):
        return tf.identity(value)


def _little_endian(data: tf.Tensor, at: int, length: int) -> tf.Tensor:
    """Return the little-endian number in `length` bytes; bytes beyond the end count as 0."""
    filled = tf.strings.join([data, b"\0" * (at + length)])
    digits = tf.cast(tf.io.decode_raw(tf.strings.substr(filled, at, length), tf.uint8), tf.int32)
    return tf.reduce_sum(digits * tf.constant([256**power for power in range(length)]))
