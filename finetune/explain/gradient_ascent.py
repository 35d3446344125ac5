"""Images that drive one channel as much as possible, by gradient ascent through the network's own forward pass.

The recipe is put together from three papers:

- The contrast is fixed, so that the ascent finds a pattern and not the brightest colours: Erhan, Bengio, Courville and
  Vincent 2009, "Visualizing Higher-Layer Features of a Deep Network". A unit of the first convolution is driven most by
  its own kernel.
- The image is a sum of waves, which at the start are as large as those in photos, in colours that are decorrelated over
  ImageNet: Olah, Mordvintsev and Schubert 2017, "Feature Visualization", with constants of their program Lucid.
- The image moves a little at every step (jitter), since a pattern that needs its exact place is noise to the eye:
  Mordvintsev, Olah and Tyka 2015, "Inceptionism".

What increases is the unit before its ReLU, whose gradient does not vanish where the unit is off.
"""

import numpy as np
import tensorflow as tf

from finetune.classifier import Classifier
from finetune.data.channels import to_rgb
from finetune.explain.types import OptimizedImage
from finetune.formats.weights_file import layer_of
from finetune.networks.forward import forward, normalize
from finetune.networks.layer_outputs import before_relu, split_relus
from finetune.networks.receptive_field import seen_pixels
from finetune.system.progress import track

STEPS, RATE = 256, 0.05  # of Adam, Kingma and Ba 2015; the rate is Lucid's
MEAN_DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8  # their section 2
CONTRAST = 0.7  # standard deviation before the sigmoid, which makes about 40 of 255 of it, as in photos
JITTER = 1 / 16  # of the side of the image, in every direction; none below 16 pixels
START = 0.01  # standard deviation of the waves at the start, as in Lucid
# Root of the covariance of ImageNet's pixels, RGB by row, from Lucid's optvis/param/color.py.
COLORS = np.array([(0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03)], np.float32)


class GradientAscent:
    """Makes the image that drives the middle unit of a layer most, for any of its channels.

    The image is what that unit sees, the part of its receptive field that is within the input. Around it is the mean
    colour. `layer` is a convolution or fully connected layer; UsageError for another one.
    """

    def __init__(self, classifier: Classifier, layer: str) -> None:
        network = classifier.model.network
        name = before_relu(network, layer)
        whole, weights = split_relus(network, classifier.model.weights, [name])
        self._layers = whole.layers[: [each.name for each in whole.layers].index(name) + 1]
        used = [each.name for each in self._layers]
        self._weights = {key: tf.constant(weights[key], tf.float32) for key in weights if layer_of(key) in used}
        self._preprocessing = network.preprocessing
        shape = next(step.output_shape for step in network.steps() if step.layer.name == layer)
        self._unit = (shape[0] // 2,) * (len(shape) - 1)  # without the channel; a vector has no other index
        pixels = seen_pixels(network, layer, *self._unit[:1])
        self._margins = [pixels.start, network.preprocessing.size - pixels.stop]
        self._side = len(pixels)
        frequencies = np.hypot(np.fft.fftfreq(self._side)[:, None], np.fft.rfftfreq(self._side))
        self._amplitudes = (1 / np.maximum(frequencies, 1 / self._side)).astype(np.float32)
        # The image without any contrast: the mean colour, kept off the ends of the sigmoid.
        share = np.clip(np.array(network.preprocessing.mean, np.float32) / 255, 0.25, 0.75)
        self._gray = np.log(share / (1 - share))

    def image(self, channel: int) -> OptimizedImage:
        """Return the image for a channel, the same every time, with the unit's value for it."""
        channels = self._preprocessing.channels
        waves = START * tf.random.stateless_normal((2, channels, *self._amplitudes.shape), [0, 0])
        mean = square = tf.zeros_like(waves)
        for number in track(range(1, STEPS + 1), STEPS, f"gradient ascent of channel {channel}", "steps"):
            waves, mean, square = self._step(waves, mean, square, tf.constant(number), tf.constant(channel))
        pixels = np.rint(self._pixels(waves).numpy()).astype(np.uint8)
        value = self._value(tf.constant(pixels), tf.constant([0, 0]), tf.constant(channel))
        return OptimizedImage(channel, to_rgb(pixels, self._preprocessing.channel_order), float(value))

    def _pixels(self, waves: tf.Tensor) -> tf.Tensor:
        """Return the image, (side, side, channels) from 0 to 255 in the network's order, that the waves add up to."""
        image = tf.signal.irfft2d(tf.complex(*tf.unstack(waves * self._amplitudes)), [self._side, self._side])
        image = tf.transpose(image, (1, 2, 0))
        if self._preprocessing.channel_order != "GRAY":
            colors = COLORS[::-1] if self._preprocessing.channel_order == "BGR" else COLORS
            image = tf.tensordot(image, colors.T, 1)
        image *= CONTRAST / tf.sqrt(tf.reduce_mean(image**2))
        return 255 * tf.sigmoid(image + self._gray)

    def _value(self, pixels: tf.Tensor, shift: tf.Tensor, channel: tf.Tensor) -> tf.Tensor:
        """Return the unit's value for the image moved by `shift`, rows and columns."""
        x = tf.pad(normalize(self._preprocessing, pixels), [self._margins, self._margins, [0, 0]])
        output = forward(self._layers, self._weights, tf.roll(x, shift, (0, 1))[None])
        return output[(0, *self._unit)][channel]

    @tf.function(autograph=False)
    def _step(
        self, waves: tf.Tensor, mean: tf.Tensor, square: tf.Tensor, number: tf.Tensor, channel: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return the waves after step `number` of Adam, with the running means of the gradient and of its square."""
        most = int(self._side * JITTER)
        shift = tf.random.stateless_uniform([2], [0, number], -most, most + 1, tf.int32)
        with tf.GradientTape() as tape:
            tape.watch(waves)
            value = self._value(self._pixels(waves), shift, channel)
        gradient = tape.gradient(value, waves)
        mean = MEAN_DECAY * mean + (1 - MEAN_DECAY) * gradient
        square = SQUARE_DECAY * square + (1 - SQUARE_DECAY) * gradient**2
        step = tf.cast(number, tf.float32)
        mean_now, square_now = mean / (1 - MEAN_DECAY**step), square / (1 - SQUARE_DECAY**step)
        return waves + RATE * mean_now / (tf.sqrt(square_now) + EPSILON), mean, square
