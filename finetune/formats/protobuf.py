"""The wire format of protocol buffers, read as views: https://protobuf.dev/programming-guides/encoding.

Google's package would copy every weight, and needs compiled schemas of Caffe's messages, which no maintained package
has.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from finetune.errors import WeightsError
from finetune.formats.weights_file import Array

Value = int | memoryview | Array

_MAX_FIELDS = 10_000  # in one message; a network has a few hundred layers
# Wire types of 8 and 4 bytes; weights files use them only for floats.
_FIXED: dict[int, np.dtype[Any]] = {1: np.dtype("<f8"), 5: np.dtype("<f4")}


def fields(message: memoryview, name: str) -> Iterator[tuple[int, Value]]:
    """Yield number and value of the fields of `message`, in order; nothing is copied.

    A varint is an integer, a length-delimited field (text, message, packed numbers) a view of its bytes, and a run of
    floats that are not packed one array with strides. Raises WeightsError that begins with `name`.
    """
    position = 0
    for _ in range(_MAX_FIELDS):
        if position == len(message):
            return
        start = position
        tag, position = varint(message, position, name)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, position = varint(message, position, name)
            yield number, value
        elif kind == 2:
            length, position = varint(message, position, name)
            _check(length, message, position, name)
            yield number, message[position : position + length]
            position += length
        elif kind in _FIXED:
            _check(_FIXED[kind].itemsize, message, position, name)
            floats = _run(message, start, position, _FIXED[kind])
            yield number, floats
            position = start + len(floats) * floats.strides[0]
        else:
            raise WeightsError(
                f"{name}: not a protocol buffer (it has wire type {kind}): damaged, or another kind of file; get a new "
                "copy"
            )
    raise WeightsError(
        f"{name}: refused: a message with more than {_MAX_FIELDS:,} fields, and weights need a few hundred; choose "
        "another file"
    )


def varint(message: memoryview, position: int, name: str) -> tuple[int, int]:
    """Return the unsigned number at `position`, 7 bits per byte, lowest first, and the position after it."""
    number = 0
    for shift in range(0, 70, 7):  # 64 bits take up to 10 bytes
        if position == len(message):
            raise WeightsError(f"{name}: ends within a number: the file is truncated or damaged; get a new copy")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise WeightsError(f"{name}: has a number of more than 64 bits: damaged, or another kind of file; get a new copy")


def _check(length: int, message: memoryview, position: int, name: str) -> None:
    if length > len(message) - position:
        raise WeightsError(
            f"{name}: a field claims {length:,} bytes, but {len(message) - position:,} follow: the file is truncated "
            "or damaged; get a new copy"
        )


def _run(message: memoryview, start: int, first: int, dtype: np.dtype[Any]) -> Array:
    """Return the floats of all records from `start` on that begin with the same tag.

    `first` is the position of the first float.
    """
    stride = first - start + dtype.itemsize
    records = np.frombuffer(message, np.uint8)[start:]
    records = records[: len(records) // stride * stride].reshape(-1, stride)[:, : first - start]
    count, step = 1, 1
    while count < len(records):  # compare twice as many each time, so that a short run costs little in a long message
        same = (records[count : count + step] == records[0]).all(axis=1)
        if not same.all():
            count += int(same.argmin())
            break
        count, step = count + len(same), 2 * step
    return np.ndarray((count,), dtype, message, first, (stride,))
