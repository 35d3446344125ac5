"""Where in an image the network sees a class: one map from gradients, one from covering parts of the image.

Images are the network's input as `to_input` returns it: (size, size, channels) uint8, mean not subtracted.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import Image
from finetune.explain.map_layer import check_map_layer, last_convolution
from finetune.metrics import softmax
from finetune.system.progress import track
from finetune.system.quiet import import_tensorflow

Maps = NDArray[np.float32]

STEPS = 12  # squares are a twelfth of the side apart: 14 × 14 of them, a few seconds with AlexNet on two cores


def grad_cam(classifier: Classifier, pixels: Image, classes: Sequence[int], layer: str | None = None) -> Maps:
    """Return the Grad-CAM map of every class in `classes` (indices): (classes, size, size) float32, 0 to 1.

    Selvaraju et al. 2017, "Grad-CAM", equations 1 and 2: with A the output of `layer` (by default the last convolution)
    after its ReLU and y the logit of the class, the weight of channel k is the mean of dy/dA_k over all positions, and
    the map is ReLU(Σ_k weight_k A_k). As in the paper it is enlarged to the image's size by linear interpolation, which
    may shift it by half a cell, and divided by its maximum; it is 0 everywhere when nothing in the layer supports the
    class. Raises UsageError for a layer whose output has no height and width.
    """
    network = classifier.model.network
    layer = check_map_layer(network, layer or last_convolution(network))
    import_tensorflow()
    import tensorflow as tf

    from finetune.networks.forward import activations

    x = tf.constant(network.preprocessing.normalize(pixels)[None])
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        for name, output in activations(network.layers, classifier.model.weights, x):
            if name == layer:
                tape.watch(output)
                channels = output
        logits = [output[0, index] for index in classes]
    size = network.preprocessing.size
    maps = np.zeros((len(classes), size, size), np.float32)
    for row, logit in enumerate(logits):
        weights = tf.reduce_mean(tape.gradient(logit, channels), axis=(1, 2), keepdims=True)
        cells = tf.nn.relu(tf.reduce_sum(weights * channels, axis=3))[0].numpy()
        if cells.max() > 0:
            enlarged = cv2.resize(cells, (size, size), interpolation=cv2.INTER_LINEAR)
            maps[row] = enlarged / enlarged.max()
    return maps


def occlusion(classifier: Classifier, pixels: Image, classes: Sequence[int]) -> Maps:
    """Return for every pixel how far the probability of each class in `classes` (indices) falls when it is covered.

    (classes, size, size) float32, -1 to 1, in units of probability: above 0 the pixel supports the class, below 0 it
    counts against it. Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2: a
    gray square covers one part of the image after another. Here the square has the mean colour of the training images,
    which is 0 for the network, is a sixth of the side wide and moves by a twelfth. The value of a pixel is the mean of
    p(class) - p(class | covered) over the four squares that cover it; at the border they reach beyond the image.
    """
    network = classifier.model.network
    size = network.preprocessing.size
    step = max(1, size // STEPS)
    spans = [slice(max(0, start), start + 2 * step) for start in range(-step, size, step)]
    squares = [(rows, columns) for rows in spans for columns in spans]
    import_tensorflow()
    from finetune.networks.compiled import BATCH_SIZE, Compiled

    forward = Compiled(network.layers, classifier.model.weights, network.preprocessing)

    def probabilities(images: Image) -> NDArray[np.float64]:
        return softmax(forward(images), classifier.temperature)[:, list(classes)]

    uncovered = probabilities(pixels[None])[0]
    color = np.rint(network.preprocessing.mean).astype(np.uint8)
    drops = np.zeros((len(classes), size, size))
    batches = [squares[start : start + BATCH_SIZE] for start in range(0, len(squares), BATCH_SIZE)]
    for batch in track(batches, len(batches), "occlusion", "batches"):
        covered = np.repeat(pixels[None], len(batch), axis=0)
        for image, (rows, columns) in zip(covered, batch, strict=True):
            image[rows, columns] = color
        for found, (rows, columns) in zip(probabilities(covered), batch, strict=True):
            drops[:, rows, columns] += (uncovered - found)[:, None, None] / 4  # four squares cover a pixel
    return drops.astype(np.float32)
