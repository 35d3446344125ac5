"""Kernels in 16 or 8 bits. Only weights are rounded, so no images are needed to calibrate ranges.

`kernel`: float32 (outputs, inputs), where `positions` inputs in a row are those of one channel in the window or map.
What is cut off at one position is added to the next, so the errors of a channel sum to half a step at most: its values
next to each other are similar, so the errors nearly cancel. With the starter in 8 bits and 294 photos, it halved the
largest difference of a probability, from 0.032 to 0.015 (benchmarks/tried.md).
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LARGEST = 127

Number = TypeVar("Number", np.float16, np.int8)


def as_float16(kernel: NDArray[np.float32], positions: int) -> NDArray[np.float16]:
    """Return the kernel in float16; what is too large for it becomes infinite."""
    return _carried(kernel, positions, np.float16)


def as_int8(kernel: NDArray[np.float32], positions: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return int8 (outputs, inputs) and float32 scales (outputs,): kernel = int8 * scale, nearly."""
    scales = np.abs(kernel).max(axis=1) / np.float32(LARGEST)
    scales[scales == 0] = 1
    return _carried(kernel / scales[:, None], positions, np.int8), scales


def _carried(values: NDArray[np.float32], positions: int, dtype: type[Number]) -> NDArray[Number]:
    """Return values rounded to `dtype`, what is cut off at one position carried to the next."""
    steps = values.reshape(len(values), -1, positions)
    rounded = np.empty(steps.shape, dtype)
    left_over = np.zeros(steps.shape[:2], np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # of infinite float16
        for position in range(positions):
            wanted = steps[..., position] + left_over
            rounded[..., position] = np.rint(wanted).clip(-LARGEST, LARGEST) if dtype == np.int8 else wanted
            left_over = wanted - rounded[..., position]
    return rounded.reshape(values.shape)
