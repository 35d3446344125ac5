"""Local response normalisation: both ways equal TensorFlow's own, forward and backward."""

import numpy as np
import pytest
import tensorflow as tf

from finetune.networks.layers import LocalResponseNorm
from finetune.networks.normalization import normalize_compiled, normalize_plain

RNG = np.random.default_rng(2)
LAYERS = [LocalResponseNorm("n"), LocalResponseNorm("n", size=9, alpha=0.001), LocalResponseNorm("n", beta=0.6, k=2.0)]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("normalize", [normalize_plain, normalize_compiled])
def test_norm_and_its_gradient_equal_tensorflows(layer: LocalResponseNorm, normalize) -> None:
    x = tf.constant(RNG.normal(0, 200, (2, 3, 4, 32)).astype(np.float32))
    direction = tf.constant(RNG.normal(0, 1, x.shape).astype(np.float32))

    def theirs(x: tf.Tensor) -> tf.Tensor:
        # TensorFlow's alpha is not divided by the number of channels.
        return tf.nn.lrn(x, layer.size // 2, layer.k, layer.alpha / layer.size, layer.beta)

    results = []
    for function in (lambda x: normalize(layer, x), theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            product = tf.reduce_sum(y * direction)
        results.append((y.numpy(), tape.gradient(product, x).numpy()))
    for ours, expected in zip(*results, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("normalize", [normalize_plain, normalize_compiled])
def test_window_reaches_equally_far_to_both_sides(normalize) -> None:
    """Of seven channels only the fourth is not 0: the sums of the channels within 1 of it grow, and no others."""
    layer = LocalResponseNorm("n", size=3, alpha=3, beta=1, k=1)
    x = np.float32([1e-3, 1e-3, 1e-3, 3, 1e-3, 1e-3, 1e-3]).reshape(1, 1, 1, 7)
    scale = x / normalize(layer, tf.constant(x)).numpy()
    np.testing.assert_allclose(scale.ravel(), [1, 1, 10, 10, 10, 1, 1], rtol=1e-4)


@pytest.mark.parametrize("normalize", [normalize_plain, normalize_compiled])
def test_bfloat16_is_summed_in_float32(normalize) -> None:
    """1 + 2^-8 is not a number of bfloat16, so a sum in bfloat16 would lose every small square after the first."""
    layer = LocalResponseNorm("n", size=65, alpha=65, beta=1, k=1)
    x = tf.fill((1, 1, 1, 33), tf.constant(2.0**-4, tf.bfloat16))
    found = normalize(layer, x)
    assert found.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(found, tf.float32), np.full((1, 1, 1, 33), 2**-4 / (1 + 33 / 256)), rtol=2**-8)
