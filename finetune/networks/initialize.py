"""Starting values of layers that are trained from scratch."""

from math import prod, sqrt
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from finetune.networks.network import Network

Arrays = dict[str, NDArray[np.float32]]  # `layer/weight` -> values

PIXEL_DEVIATION = 57.4  # standard deviation of ImageNet's pixels, 0 to 255: torchvision's 0.225 · 255


def fresh_weights(network: Network, layers: tuple[str, ...], seed: int) -> Arrays:
    """Return starting values for `layers`; each one depends only on its name, its shape and the seed.

    Kernels are normal with variance 2 / inputs (He et al. 2015). That formula is for inputs of unit variance, so the
    first kernel is also divided by the standard deviation of the pixels. The kernel of the logits has a standard
    deviation of 0.01, as in BVLC's fine-tuning example, so that all classes start almost equal. Scales (`gamma`) and
    variances are 1, biases, shifts (`beta`) and means 0.
    """
    first, *_, logits = network.weighted_layers()
    input_deviation = PIXEL_DEVIATION / float(np.mean(network.preprocessing.std))
    tensors = {}
    for name, shape in network.weight_shapes().items():
        layer, weight = name.split("/")
        if layer not in layers:
            continue
        if weight == "kernel":
            generator = np.random.default_rng([seed, crc32(name.encode())])
            deviation = 0.01 if layer == logits else sqrt(2 / prod(shape[:-1]))
            deviation /= input_deviation if layer == first else 1
            tensors[name] = generator.standard_normal(shape, np.float32) * np.float32(deviation)
        else:
            tensors[name] = np.full(shape, 1 if weight in ("gamma", "moving_variance") else 0, np.float32)
    return tensors
