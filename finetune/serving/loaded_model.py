"""The model that is served: NumPy computes it until TensorFlow has been imported and has compiled it."""

import logging
from collections.abc import Sequence
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier
from finetune.data.channels import Image
from finetune.data.decode import decode
from finetune.data.images import ten_crop_preprocessing, ten_crops
from finetune.data.network_input import to_input
from finetune.networks.numpy_forward import outputs
from finetune.prediction import LayerOutput
from finetune.serving.batches import BATCH
from finetune.system.quiet import import_tensorflow

if TYPE_CHECKING:
    from finetune.networks.compiled import Compiled

logger = logging.getLogger(__name__)

SIZES = (1, 2, 4, 8, 16, BATCH)  # of batches: each is compiled once, and a batch between two is padded to the larger


class LoadedModel:
    """A classifier for one batch after another.

    It computes what `Classifier.predict` computes for files, so that page, API and command line agree: the same
    decoding, the same input, the same layers.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.warmed_up = Event()  # whether `warm_up` was tried
        self._network = classifier.model.network
        self._compiled: Compiled | None = None

    @property
    def with_tensorflow(self) -> bool:
        """Whether TensorFlow computes it by now."""
        return self._compiled is not None

    def warm_up(self) -> None:
        """Import TensorFlow and compile the network; takes seconds, in which NumPy computes."""
        import_tensorflow()
        from finetune.networks.compiled import Compiled

        model = self.classifier.model
        compiled = Compiled(self._network.layers, model.weights, self._network.preprocessing, sizes=SIZES)
        side, channels = self._network.preprocessing.size, self._network.preprocessing.channels
        for size in SIZES:
            compiled(np.zeros((size, side, side, channels), np.uint8))
        self._compiled = compiled

    def read(self, data: bytes, *, ten_crop: bool = False) -> Image:
        """Return the network input of an image file's bytes; raise ImageError if they cannot be read."""
        preprocessing = self._network.preprocessing
        if ten_crop:
            preprocessing = ten_crop_preprocessing(preprocessing)
        return to_input(decode(data, preprocessing.short_side).image, preprocessing)

    def read_with_shape(self, data: bytes) -> tuple[Image, tuple[int, int]]:
        """Return what `read` does, and height and width of the image, which a large JPEG is decoded at a part of."""
        preprocessing = self._network.preprocessing
        image = decode(data, preprocessing.short_side).image
        return to_input(image, preprocessing), image.shape[:2]

    def logits(self, inputs: list[Image]) -> list[LayerOutput]:
        """Return the logits (classes,) of each input."""
        return list(self._logits(np.stack(inputs)))

    def ten_crop_logits(self, inputs: list[Image]) -> list[LayerOutput]:
        """Return the logits (10, classes) of each input that was read for ten crops."""
        crops = np.concatenate([ten_crops(square, self._network.preprocessing.size) for square in inputs])
        return list(self._logits(crops).reshape(len(inputs), 10, -1))

    def _logits(self, pixels: Image) -> LayerOutput:
        """Return the logits (n, classes) of a batch of any size."""
        parts = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
        return np.concatenate([self._batch_logits(part) for part in parts])

    def _batch_logits(self, pixels: Image) -> LayerOutput:
        if self._compiled is not None:
            return self._compiled(pixels)
        network, last = self._network, self._network.layers[-1].name
        return outputs(network.layers, self.classifier.model.weights, network.preprocessing, pixels, [last])[last]

    def features(self, layers: Sequence[str], inputs: list[Image]) -> list[dict[str, LayerOutput]]:
        """Return the outputs of the layers for each input, named as in `Classifier.features`.

        With NumPy, always: TensorFlow would keep another compiled network for every choice of layers.
        """
        network, weights = self.classifier.cut_after(layers)
        found = outputs(network.layers, weights, network.preprocessing, np.stack(inputs), layers)
        return [{name: found[name][row] for name in layers} for row in range(len(inputs))]

    def grad_cam(self, classes: Sequence[int], inputs: list[Image]) -> list[NDArray[np.float32]]:
        """Return the Grad-CAM map of the most probable of some classes, (size, size) from 0 to 1, for each input."""
        from finetune.explain.maps import grad_cam

        likeliest = [max(classes, key=lambda index: logits[index]) for logits in self.logits(inputs)]
        return [grad_cam(self.classifier, pixels, [index])[0] for pixels, index in zip(inputs, likeliest, strict=True)]
