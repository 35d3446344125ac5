"""Weights in 8 bits, worked out by hand."""

import numpy as np

from finetune.export.weights_int8 import quantize


def test_one_scale_for_each_output() -> None:
    rounded, scales = quantize(np.float32([[127, 63.4, -127], [0, 0, 0], [-2.54, 1.27, 0.005]]), positions=1)
    np.testing.assert_allclose(scales, [1, 1, 0.02], rtol=1e-6)
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [[127, 63, -127], [0, 0, 0], [-127, 64, 0]]


def test_the_next_position_makes_up_for_what_was_rounded() -> None:
    """10.4 becomes 10 and leaves .4; 10.4 + .4 becomes 11 and leaves -.2; 10.2 becomes 10. Channels do not mix."""
    rounded, _ = quantize(np.float32([[10.4, 10.4, 10.4, 127, 0.4, 0.4]]), positions=3)
    assert rounded.tolist() == [[10, 11, 10, 127, 0, 1]]


def test_errors_of_a_channel_sum_to_half_a_step_at_most() -> None:
    kernel = np.random.default_rng(0).normal(size=(8, 20 * 25)).astype(np.float32)
    rounded, scales = quantize(kernel, positions=25)
    steps = (kernel / scales[:, None] - rounded).reshape(8, 20, 25)
    assert np.abs(steps.sum(axis=2)).max() <= 0.5 + 1e-3
    plain = np.rint(kernel / scales[:, None]) - kernel / scales[:, None]
    assert np.abs(plain.reshape(8, 20, 25).sum(axis=2)).max() > 2


def test_the_largest_stays_within_8_bits() -> None:
    """126.5 becomes 126 and leaves .5; 127.5 would become 128, and leaves .5 when it becomes 127."""
    rounded, _ = quantize(np.float32([[126.5, 127, 127, -127]]), positions=4)
    assert rounded.tolist() == [[126, 127, 127, -126]]
