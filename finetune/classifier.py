"""Classify images with a trained model: what scripts, `finetune predict` and `finetune score` use.

An image is read on its way to the network, up to 64 ahead, and at first all that NumPy would compute. The network
computes whole batches, with NumPy where there is little to compute, otherwise with TensorFlow. Softmax and the class
names make a `Prediction` of each output.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from finetune.data.arrays import ArrayOrder
from finetune.data.channels import Image
from finetune.data.images import ImageLike, path_or_url, read_input, ten_crop_preprocessing, ten_crops
from finetune.data.inputs import each_image
from finetune.errors import ImageError, UsageError, WeightsError
from finetune.metrics import softmax
from finetune.model import Model
from finetune.networks.layers import Layer, Shape
from finetune.networks.numpy_forward import outputs
from finetune.prediction import Features, LayerOutput, PathOrUrl, Prediction, Score
from finetune.runs.default_model import default_model
from finetune.runs.open_model import open_model
from finetune.system.parallel import parallel_map
from finetune.system.quiet import import_tensorflow
from finetune.system.text import did_you_mean

if TYPE_CHECKING:
    from finetune.networks.compiled import Compiled

logger = logging.getLogger(__name__)

Pool = Literal["mean", "none"]
BatchFunction = Callable[[str, Image], NDArray[np.float32]]  # from a layer and pixels to the layer's output

# Up to so many multiply-adds are computed with NumPy: 69 images with AlexNet, 151 with the starter, 3 with VGG16. It
# takes 0.3 to 0.9 of the time of importing TensorFlow, compiling and computing the same (benchmarks/README.md).
NUMPY_MULTIPLY_ADDS = 50e9
MOST_WITH_NUMPY = 256  # images, since all of them are read before the first is computed


def load(ref: str | Path | None = None, network: str | None = None, *, many: bool = False) -> "Classifier":
    """Return a classifier with the model that `ref` names: a run directory, a weights file or published weights.

    None means the newest run in ./runs, else the published AlexNet if its file is present, else the starter; the log
    says which one it is, and why. `network` decides where a file fits several networks. `many`: as for `Classifier`.
    Raises WeightsError or RunError if there is no such model or it cannot be read.
    """
    if ref is None:
        ref, why = default_model()
        logger.info("model %s, %s", ref, why)
    return Classifier(open_model(ref, network), many=many)


class Classifier:
    """A model ready to classify images.

    Images are one or any number of: paths; folders, which mean the images below them, sorted; http(s) URLs; PIL images,
    which are converted as files are; uint8 arrays, (height, width) gray or (height, width, 3), whose `channel_order`
    must be given as "rgb" or "bgr". An image that cannot be read yields its error in its place. With `folders=False`, a
    folder is such an image, so that every path yields one result. `batch_size`: images computed at once. `model`:
    network, weights and class names.

    A few images are computed with NumPy, in less time than importing TensorFlow takes; probabilities differ by less
    than 1e-4. `many` computes any number with TensorFlow, so that an image gets the same bits however many there are.
    """

    def __init__(self, model: Model, *, many: bool = False) -> None:
        self.model = model
        self._many = many
        self._temperature = model.temperature  # read here, so that an invalid one is reported before any image is read
        self._compiled_layers: dict[str, Compiled] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; the index of a prediction is a position in it."""
        return self.model.class_names

    @property
    def temperature(self) -> float:
        """What the logits are divided by before the softmax; 1 if the model's file has none."""
        return self._temperature

    def predict(
        self,
        images: ImageLike | Iterable[ImageLike],
        top: int = 5,
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        folders: bool = True,
        ten_crop: bool = False,
        abstain_below: float = 0.0,
    ) -> Iterator[Prediction]:
        """Yield one prediction for each image, in order, with the `top` most probable classes.

        `ten_crop` averages the probabilities of ten crops. A prediction whose first probability is below
        `abstain_below` is marked as abstained. Raises UsageError for an `abstain_below` outside 0 to 1 and for what is
        not an image, DataError for a folder without images, WeightsError if the output is not finite.
        """
        if not 0 <= abstain_below <= 1:
            raise UsageError(f"abstain_below must lie between 0 and 1, not {abstain_below}")
        every = each_image(images, folders)
        rows = self._layer_outputs(every, self._last_layer, batch_size, channel_order, ten_crop)
        return (self._prediction(path, logits, top, abstain_below) for path, logits in rows)

    def features(
        self,
        images: ImageLike | Iterable[ImageLike],
        layer: str = "fc7",
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        folders: bool = True,
        pool: Pool = "none",
    ) -> Iterator[Features]:
        """Yield the output of `layer` for each image, in order: (units,) or (height, width, channels).

        `pool="mean"` averages the latter over height and width. Raises UsageError if the network has no such layer or
        its output cannot be pooled.
        """
        self.feature_shape(layer, pool)
        rows = self._layer_outputs(each_image(images, folders), layer, batch_size, channel_order)
        return (_features(path, output, pool) for path, output in rows)

    def feature_shape(self, layer: str, pool: Pool = "none") -> Shape:
        """Return the shape of one image's `features`; raise UsageError as they do."""
        shapes = {step.layer.name: step.output_shape for step in self.model.network.steps()}
        if layer not in shapes:
            raise UsageError(
                f"{self.model.network.name} has no layer {layer!r}{did_you_mean(layer, shapes)}; "
                f"its layers are {', '.join(shapes)}"
            )
        shape = shapes[layer]
        if pool == "none":
            return shape
        if len(shape) == 1:
            raise UsageError(f"the output of {layer} is a vector, so there is nothing to pool; omit pool")
        return shape[-1:]

    def logits(
        self, images: Iterable[ImageLike], batch_size: int = 32
    ) -> Iterator[tuple[PathOrUrl, LayerOutput | ImageError]]:
        """Yield the path or URL of each image, in order, with its logits (classes,), or with the error.

        One row for each: a folder is an image that cannot be read.
        """
        return self._layer_outputs(images, self._last_layer, batch_size)

    @property
    def _last_layer(self) -> str:
        return self.model.network.layers[-1].name

    def _layer_outputs(
        self,
        images: Iterable[ImageLike],
        layer: str,
        batch_size: int,
        channel_order: ArrayOrder | None = None,
        ten_crop: bool = False,
    ) -> Iterator[tuple[PathOrUrl, LayerOutput | ImageError]]:
        """Yield the path or URL of each image with the layer's output, or the error; (10, …) for ten crops."""
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
        preprocessing = self.model.network.preprocessing
        if ten_crop:
            preprocessing = ten_crop_preprocessing(preprocessing)

        def read(image: ImageLike) -> tuple[PathOrUrl, Image | ImageError]:
            return path_or_url(image), read_input(image, preprocessing, channel_order)

        return self._compute_batches(parallel_map(read, images), layer, batch_size, ten_crop)

    def _compute_batches(
        self, inputs: Iterator[tuple[PathOrUrl, Image | ImageError]], layer: str, batch_size: int, ten_crop: bool
    ) -> Iterator[tuple[PathOrUrl, LayerOutput | ImageError]]:
        """Yield the inputs in order, each readable one replaced by the layer's output for it."""
        most = 0 if self._many else self._most_with_numpy(layer, ten_crop)
        ahead = list(islice(inputs, most + 1))
        function = self._compute_with_numpy if len(ahead) <= most else self._compute_with_tensorflow
        inputs = chain(ahead, inputs)
        del ahead  # so that it does not hold the images until the last one
        while batch := list(islice(inputs, batch_size)):
            readable = [pixels for _, pixels in batch if not isinstance(pixels, ImageError)]
            computed = iter(self._compute(function, layer, readable, batch_size, ten_crop) if readable else ())
            for path, pixels in batch:
                yield path, pixels if isinstance(pixels, ImageError) else next(computed)

    def _most_with_numpy(self, layer: str, ten_crop: bool) -> int:
        """Return how many images are few enough to be computed with NumPy."""
        steps = islice(self.model.network.steps(), len(self._layers(layer)))
        one = sum(step.layer.multiply_adds(step.input_shape) for step in steps) * (10 if ten_crop else 1)
        return min(MOST_WITH_NUMPY, int(NUMPY_MULTIPLY_ADDS / one))

    def _compute(
        self, function: BatchFunction, layer: str, inputs: list[Image], batch_size: int, ten_crop: bool
    ) -> NDArray[np.float32]:
        """Return the layer's output for some inputs: (inputs, …), or (inputs, 10, …) for ten crops."""
        if not ten_crop:
            return function(layer, np.stack(inputs))
        crops = np.concatenate([ten_crops(square, self.model.network.preprocessing.size) for square in inputs])
        # No more at once than without crops: activations take far more memory than pixels.
        parts = [function(layer, crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
        return np.concatenate(parts).reshape(len(inputs), 10, -1)

    def _compute_with_numpy(self, layer: str, pixels: Image) -> NDArray[np.float32]:
        """Return the layer's output for a batch."""
        return outputs(self._layers(layer), self.model.weights, self.model.network.preprocessing, pixels)

    def _compute_with_tensorflow(self, layer: str, pixels: Image) -> NDArray[np.float32]:
        """Return the layer's output for a batch; the layers are compiled once."""
        if layer not in self._compiled_layers:
            # TensorFlow is imported here, so that a model that cannot be loaded is reported at once.
            import_tensorflow()
            from finetune.networks.compiled import Compiled

            network = self.model.network
            self._compiled_layers[layer] = Compiled(self._layers(layer), self.model.weights, network.preprocessing)
        return self._compiled_layers[layer](pixels)

    def _layers(self, layer: str) -> tuple[Layer, ...]:
        """Return the layers up to and including `layer`."""
        layers = self.model.network.layers
        return layers[: [step.name for step in layers].index(layer) + 1]

    def _prediction(
        self, path: PathOrUrl, logits: LayerOutput | ImageError, top: int, abstain_below: float
    ) -> Prediction:
        """Return the prediction that logits (classes,), or (10, classes) for ten crops, stand for."""
        if isinstance(logits, ImageError):
            return Prediction(path, error=str(logits))
        if not np.isfinite(logits).all():
            raise WeightsError(
                f"the model's output for {path or 'an image'} is not finite: its weights are damaged; get another file"
            )
        probabilities = softmax(np.atleast_2d(logits), self._temperature).mean(axis=0)
        best = np.argsort(-probabilities, kind="stable")[:top]
        scores = tuple(Score(int(i), self.class_names[i], float(probabilities[i])) for i in best)
        abstained = bool(probabilities.max() < abstain_below)
        return Prediction(path, scores, abstained=abstained, probabilities=probabilities)


def _features(path: PathOrUrl, output: LayerOutput | ImageError, pool: Pool) -> Features:
    if isinstance(output, ImageError):
        return Features(path, error=str(output))
    return Features(path, output.mean(axis=(0, 1)) if pool == "mean" else output)
