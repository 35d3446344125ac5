"""The model that is served: NumPy computes it until TensorFlow has been imported and has compiled it."""

from collections.abc import Callable, Iterable, Sequence
from threading import Event
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from finetune.classifier import Classifier, Outputs
from finetune.data.channels import Image
from finetune.data.decode import decode
from finetune.data.header import Header, read_header
from finetune.data.images import ten_crop_preprocessing, ten_crops
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.errors import ImageError
from finetune.networks.layer_outputs import up_to
from finetune.networks.layers import Dropout
from finetune.networks.numpy_forward import outputs
from finetune.prediction import LayerOutput
from finetune.serving.batches import BATCH
from finetune.serving.overlay import overlay
from finetune.system.parallel import parallel_map
from finetune.system.quiet import import_tensorflow

if TYPE_CHECKING:
    from finetune.networks.compiled import Compiled

Result = TypeVar("Result")

MOST_PIXELS = 50_000_000  # of an image; the worst, a JPEG 2000, takes 1.2 GB and some seconds to decode
SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, BATCH)  # of batches: each is compiled once, others are padded to the next


class LoadedModel:
    """A classifier for one batch of image files after another.

    It computes what `Classifier` computes for paths, so that page, API and command line agree: the same decoding, the
    same input, the same layers.
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

    @property
    def last_but_one(self) -> str:
        """The name of the layer before the classes, such as fc7."""
        return [layer.name for layer in self._network.layers if not isinstance(layer, Dropout)][-2]

    def warm_up(self) -> None:
        """Import TensorFlow and compile the network; takes seconds, in which NumPy computes.

        Ends early once `warmed_up` is set: nobody waits for it any more.
        """
        import_tensorflow()
        from finetune.networks.compiled import Compiled

        model = self.classifier.model
        compiled = Compiled(self._network.layers, model.weights, self._network.preprocessing, sizes=SIZES)
        side, channels = self._network.preprocessing.size, self._network.preprocessing.channels
        for size in SIZES:
            if self.warmed_up.is_set():
                return
            compiled(np.zeros((size, side, side, channels), np.uint8))
        self._compiled = compiled

    def logits(self, files: list[bytes]) -> list[LayerOutput | ImageError]:
        """Return the logits (classes,) of each image file, or why it cannot be read."""
        return self._of_each(files, self._network.preprocessing, self._logits)

    def ten_crop_logits(self, files: list[bytes]) -> list[LayerOutput | ImageError]:
        """Return the logits (10, classes) of the ten crops of each image file, or why it cannot be read."""

        def of_crops(squares: Image) -> LayerOutput:
            crops = np.concatenate([ten_crops(square, self._network.preprocessing.size) for square in squares])
            return self._logits(crops).reshape(len(squares), 10, -1)

        return self._of_each(files, ten_crop_preprocessing(self._network.preprocessing), of_crops)

    def features(self, layers: Sequence[str], files: list[bytes]) -> list[Outputs | ImageError]:
        """Return the outputs of the layers, as in `Classifier.features`, for each image file, or why it cannot be read.

        With NumPy, always: TensorFlow would keep another compiled network for every choice of layers.
        """
        network, weights = up_to(self._network, self.classifier.model.weights, layers)

        def of_layers(pixels: Image) -> list[Outputs]:
            found = outputs(network.layers, weights, network.preprocessing, pixels, layers)
            return [{name: found[name][row] for name in layers} for row in range(len(pixels))]

        return self._of_each(files, self._network.preprocessing, of_layers)

    def explanations(self, classes: Sequence[int], files: list[bytes]) -> list[bytes | ImageError]:
        """Return the Grad-CAM map of the most probable of some classes as a PNG that fits over each image file."""
        return [self._explanation(classes, data) for data in files]

    def _explanation(self, classes: Sequence[int], data: bytes) -> bytes | ImageError:
        from finetune.explain.maps import grad_cam

        preprocessing = self._network.preprocessing
        try:
            image = _decoded(data, preprocessing)
        except ImageError as error:
            return error
        pixels = to_input(image, preprocessing)
        logits = self._logits(pixels[np.newaxis])[0]
        likeliest = max(classes, key=lambda index: logits[index])
        return overlay(grad_cam(self.classifier, pixels, [likeliest])[0], image.shape[:2], preprocessing)

    def _of_each(
        self, files: list[bytes], preprocessing: Preprocessing, compute: Callable[[Image], Iterable[Result]]
    ) -> list[Result | ImageError]:
        """Return what is computed for the input of each image file, or why it cannot be read."""

        def read(data: bytes) -> Image | ImageError:
            try:
                return to_input(_decoded(data, preprocessing), preprocessing)
            except ImageError as error:
                return error

        inputs = list(parallel_map(read, files))
        readable = [pixels for pixels in inputs if not isinstance(pixels, ImageError)]
        results = iter(compute(np.stack(readable)) if readable else ())
        return [pixels if isinstance(pixels, ImageError) else next(results) for pixels in inputs]

    def _logits(self, pixels: Image) -> LayerOutput:
        """Return the logits (n, classes) of any number of inputs (n, size, size, channels)."""
        parts = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
        return np.concatenate([self._batch_logits(part) for part in parts])

    def _batch_logits(self, pixels: Image) -> LayerOutput:
        if self._compiled is not None:
            return self._compiled(pixels)
        network, last = self._network, self._network.layers[-1].name
        return outputs(network.layers, self.classifier.model.weights, network.preprocessing, pixels, [last])[last]


def header_of(data: bytes) -> Header:
    """Return the header of an image that a client sent; raise ImageError if it cannot be read or is too large."""
    header = read_header(data)
    if header.width * header.height > MOST_PIXELS:
        raise ImageError(
            f"{header.width}×{header.height} pixels are more than the server's limit of {MOST_PIXELS // 10**6} "
            "megapixels; shrink it"
        )
    return header


def _decoded(data: bytes, preprocessing: Preprocessing) -> Image:
    """Return the upright pixels of an image file in BGR; raise ImageError if it cannot be read or is too large."""
    header = header_of(data)
    try:
        return decode(data, preprocessing.short_side, header).image
    except MemoryError:
        raise ImageError("the server has not enough memory for it; shrink it") from None
