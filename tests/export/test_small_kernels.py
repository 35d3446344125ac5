"""Kernels in 16 and 8 bits, worked out by hand."""

import numpy as np

from finetune.export.small_kernels import as_float16, as_int8


def test_one_scale_for_each_output() -> None:
    rounded, scales = as_int8(np.float32([[127, 63.4, -127], [0, 0, 0], [-2.54, 1.27, 0.005]]), positions=1)
    np.testing.assert_allclose(scales, [1, 1, 0.02], rtol=1e-6)
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [[127, 63, -127], [0, 0, 0], [-127, 64, 0]]


def test_the_next_position_makes_up_for_what_was_rounded() -> None:
    """10.4 becomes 10 and leaves .4; 10.4 + .4 becomes 11 and leaves -.2; 10.2 becomes 10. Channels do not mix."""
    rounded, _ = as_int8(np.float32([[10.4, 10.4, 10.4, 127, 0.4, 0.4]]), positions=3)
    assert rounded.tolist() == [[10, 11, 10, 127, 0, 1]]


def test_errors_of_a_channel_sum_to_half_a_step_at_most() -> None:
    kernel = np.random.default_rng(0).normal(size=(8, 20 * 25)).astype(np.float32)
    rounded, scales = as_int8(kernel, positions=25)
    steps = (kernel / scales[:, None] - rounded).reshape(8, 20, 25)
    assert np.abs(steps.sum(axis=2)).max() <= 0.5 + 1e-3
    plain = np.rint(kernel / scales[:, None]) - kernel / scales[:, None]
    assert np.abs(plain.reshape(8, 20, 25).sum(axis=2)).max() > 2


def test_the_largest_stays_within_8_bits() -> None:
    """126.5 becomes 126 and leaves .5; 127.5 would become 128, and leaves .5 when it becomes 127."""
    rounded, _ = as_int8(np.float32([[126.5, 127, 127, -127]]), positions=4)
    assert rounded.tolist() == [[126, 127, 127, -126]]


def test_16_bits_keep_what_they_can_hold() -> None:
    """The starter's weights come out of a file of float16, and are the same afterwards."""
    kernel = np.random.default_rng(0).normal(size=(5, 36)).astype(np.float16).astype(np.float32)
    assert as_float16(kernel, positions=9).dtype == np.float16
    np.testing.assert_array_equal(as_float16(kernel, positions=9), kernel)


def test_16_bits_make_up_for_what_was_rounded_too() -> None:
    """Numbers from 2048 to 4096 are even: 2048.75 becomes 2048 and leaves .75, and 2049.5 becomes 2050."""
    assert as_float16(np.float32([[2048.75, 2048.75, 2048.75]]), positions=3).tolist() == [[2048, 2050, 2048]]


def test_16_bits_say_what_is_too_large() -> None:
    assert np.isinf(as_float16(np.float32([[1e6, 1, 1]]), positions=1)).tolist() == [[True, False, False]]
