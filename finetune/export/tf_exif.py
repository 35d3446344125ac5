"""The EXIF orientation of an encoded image, read by TensorFlow operations within a graph."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

_ORIENTATION = 0x0112  # Exif 2.3, table 4
_LONG = 4  # the type that some phones write in place of SHORT
_LONGEST = 65_536  # bytes of an EXIF block that are read: the length limit of a JPEG segment
_HEAD = 12  # bytes at the beginning of a part that hold its kind and length


class _Part(NamedTuple):
    """A part of a file: is it the EXIF block, is it the last part to search, its length, where its content starts."""

    is_exif: tf.Tensor
    is_last: tf.Tensor
    length: tf.Tensor
    content: int


def jpeg_orientation(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation, 1 to 8, of a JPEG (scalar string); 1 if it has none."""

    def segment(head: tf.Tensor) -> _Part:
        is_exif = (head[1] == 0xE1) & _equals(head[4:10], b"Exif\0\0")
        is_last = (head[0] != 0xFF) | (head[1] == 0xDA)  # 0xDA: the pixels follow
        return _Part(is_exif, is_last, 2 + _number(head[2:4]), content=4)

    return _orientation(_exif(data, tf.constant(2), segment))


def png_orientation(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation of a PNG if it comes before the pixels; 1 otherwise."""

    def chunk(head: tf.Tensor) -> _Part:
        is_last = _equals(head[4:8], b"IDAT") | _equals(head[4:8], b"IEND")
        return _Part(_equals(head[4:8], b"eXIf"), is_last, 12 + _number(head[:4]), content=8)

    return _orientation(_exif(data, tf.constant(8), chunk))


def webp_orientation(data: tf.Tensor) -> tf.Tensor:
    """Return the orientation of a WebP; 1 if it has none."""

    def chunk(head: tf.Tensor) -> _Part:
        length = _number(head[7:3:-1])  # little-endian; padded to an even number below
        return _Part(_equals(head[:4], b"EXIF"), tf.constant(False), 8 + length + length % 2, content=8)

    return _orientation(_exif(data, tf.constant(12), chunk))


def _exif(data: tf.Tensor, start: tf.Tensor, part_of: Callable[[tf.Tensor], _Part]) -> tf.Tensor:
    """Return the bytes of the EXIF block as int32, empty if there is none."""
    size = tf.strings.length(data)

    def searching(at: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
        return (found == 0) & (at >= 0) & (at <= size - _HEAD)

    def step(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        part = part_of(tf.ensure_shape(_bytes(data, at, _HEAD), (_HEAD,)))
        following = at + tf.maximum(part.length, 1)
        return tf.where(part.is_last, size, following), tf.where(part.is_exif, at + part.content, 0)

    _, found = tf.while_loop(searching, step, (start, tf.constant(0)))
    block = tf.cond(found > 0, lambda: _bytes(data, found, _LONGEST), lambda: tf.zeros([0], tf.int32))
    return tf.cond(_starts(block, b"Exif\0\0"), lambda: block[6:], lambda: block)


def _orientation(block: tf.Tensor) -> tf.Tensor:
    """Return the orientation in an EXIF block, which is a small TIFF file, as `finetune.data.exif` does."""
    size = tf.size(block)
    big_endian = _starts(block, b"MM")

    def number(at: tf.Tensor, length: int) -> tf.Tensor:
        """Return the number of `length` bytes at each position; `inside` drops those beyond the block."""
        positions = tf.clip_by_value(at[..., None] + tf.range(length), 0, size - 1)
        digits = tf.gather(block, positions)
        return _number(tf.where(big_endian, digits, tf.reverse(digits, [-1])))

    def search() -> tf.Tensor:
        directory = number(tf.constant(4), 4)
        entries = directory + 2 + 12 * tf.range(number(directory, 2))
        inside = (directory >= 0) & (entries + 12 <= size)
        value_of = tf.where(number(entries + 2, 2) == _LONG, number(entries + 8, 4), number(entries + 8, 2))
        values = tf.boolean_mask(value_of, inside & (number(entries, 2) == _ORIENTATION))
        value = tf.concat([values, [1]], axis=0)[0]
        return tf.where((value >= 1) & (value <= 8), value, 1)

    return tf.cond(size >= 8, search, lambda: tf.constant(1))


def _bytes(data: tf.Tensor, at: tf.Tensor, length: int) -> tf.Tensor:
    return tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, length), tf.uint8), tf.int32)


def _number(digits: tf.Tensor) -> tf.Tensor:
    """Return the big-endian number whose bytes are along the last axis."""
    powers = [256**power for power in range(digits.shape[-1])][::-1]
    return tf.reduce_sum(digits * tf.constant(powers), axis=-1)


def _equals(head: tf.Tensor, text: bytes) -> tf.Tensor:
    return tf.reduce_all(head == tf.constant(list(text)))


def _starts(block: tf.Tensor, text: bytes) -> tf.Tensor:
    return tf.cond(tf.size(block) >= len(text), lambda: _equals(block[: len(text)], text), lambda: tf.constant(False))
