"""Classify images with a trained model: what scripts, `finetune predict` and `finetune score` use.

An image is read on its way to the network, up to 64 ahead, and at first all that NumPy would compute. The network
computes whole batches, with NumPy where there is little to compute, otherwise with TensorFlow. Softmax and the class
names make a `Prediction` of each output.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Pool
from finetune.data.arrays import ArrayOrder
from finetune.data.channels import Image
from finetune.data.decode import warn_of_dim_images
from finetune.data.images import ImageLike, path_or_url, read_input, ten_crop_preprocessing, ten_crops
from finetune.data.inputs import each_image
from finetune.errors import ImageError, UsageError
from finetune.model import Model
from finetune.networks.layer_outputs import output_shapes, up_to
from finetune.networks.layers import Shape
from finetune.networks.numpy_forward import most_images, outputs
from finetune.prediction import Features, LayerOutput, PathOrUrl, Prediction, features_of, prediction_of
from finetune.pretrained.description import NOTHING_GIVEN, Description
from finetune.runs.default_model import named_or_default
from finetune.runs.open_model import open_model
from finetune.system.parallel import parallel_map
from finetune.system.quiet import import_tensorflow

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from numpy.typing import ArrayLike

    from finetune.networks.compiled import Compiled

NetworkInput = tuple[PathOrUrl, Image | ImageError]
Outputs = dict[str, NDArray[np.float32]]  # by layer
BatchFunction = Callable[[Sequence[str], Image], Outputs]  # from layers and pixels to the outputs of the layers


def load(
    ref: str | Path | None = None,
    network: str | None = None,
    *,
    many: bool = False,
    description: Description = NOTHING_GIVEN,
) -> "Classifier":
    """Return a classifier with the model that `ref` names: a run directory, a weights file or published weights.

    None means the newest run in ./runs, else the published AlexNet if its file is present, else the starter; the log
    says which, and why. `network` decides where a file fits several networks, `description` what input and classes are
    of weights that do not say so. `many`: as for `Classifier`. Raises WeightsError or RunError if there is no such
    model or it cannot be read, UsageError for a description of one that describes itself.
    """
    return Classifier(open_model(named_or_default(ref), network, description), many=many)


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
        self._compiled: dict[tuple[str, ...], Compiled] = {}

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
        rows = self._logits(each_image(images, folders), batch_size, channel_order, ten_crop)
        names, temperature = self.class_names, self._temperature
        return (prediction_of(path, logits, names, temperature, top, abstain_below) for path, logits in rows)

    @overload
    def features(
        self,
        images: ImageLike | Iterable[ImageLike],
        layer: str = "fc7",
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        folders: bool = True,
        pool: Pool = "none",
    ) -> Iterator[Features[LayerOutput]]: ...

    @overload
    def features(
        self,
        images: ImageLike | Iterable[ImageLike],
        layer: list[str] | tuple[str, ...],
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        folders: bool = True,
        pool: Pool = "none",
    ) -> Iterator[Features[dict[str, LayerOutput]]]: ...

    def features(
        self,
        images: ImageLike | Iterable[ImageLike],
        layer: str | list[str] | tuple[str, ...] = "fc7",
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        folders: bool = True,
        pool: Pool = "none",
    ) -> Iterator[Features[Any]]:
        """Yield the output of `layer` for each image, in order: (units,) or (height, width, channels).

        For a list of layers, all are computed in one pass, and `values` is a dict by layer. A layer that has a ReLU is
        what follows it; "fc7:linear" is fc7 before its ReLU. `pool` "mean" or "max" over height and width leaves
        (channels,). Raises UsageError if the network has no such layer or there is nothing to pool.
        """
        names = [layer] if isinstance(layer, str) else layer
        self.feature_shapes(names, pool)
        rows = self._layer_outputs(each_image(images, folders), names, batch_size, channel_order)
        return (features_of(path, found, layer, pool) for path, found in rows)

    def feature_shapes(self, layers: Sequence[str], pool: Pool = "none") -> dict[str, Shape]:
        """Return the shape of each layer's output in one image's `features`; raise UsageError as they do."""
        shapes = output_shapes(self.model.network, layers)
        if pool == "none":
            return shapes
        if all(len(shape) == 1 for shape in shapes.values()):
            raise UsageError(f"the output of {', '.join(shapes)} is a vector, so there is nothing to pool; omit pool")
        return {name: shape[-1:] for name, shape in shapes.items()}

    def logits(
        self, images: Iterable[ImageLike], batch_size: int = 32
    ) -> Iterator[tuple[PathOrUrl, LayerOutput | ImageError]]:
        """Yield the path or URL of each image, in order, with its logits (classes,), or with the error.

        One row for each: a folder is an image that cannot be read.
        """
        return self._logits(images, batch_size)

    def to_keras(self, *, preprocessing: bool = True) -> "keras.Model":
        """Return a Keras model, all of it trainable: from pixels, as in `dataset`, to the probabilities of `predict`.

        Without `preprocessing` it takes what the first layer takes: float32 in the network's channel order, the mean
        subtracted. If there are no classes, its output is the last layer's.
        """
        import_tensorflow()
        from finetune.networks.keras_network import keras_network

        network, temperature = self.model.network, self._temperature if self.class_names else None
        return keras_network(network, self.model.weights, temperature, preprocessing=preprocessing)

    def dataset(
        self, images: ImageLike | Iterable[ImageLike], labels: "ArrayLike | None" = None, batch_size: int = 32
    ) -> "tf.data.Dataset":
        """Return batches of the pixels that `predict` sees, (n, size, size, channels) uint8, RGB or gray.

        With `labels`, an array with a row for each image, pairs. The images are read in every epoch again; for one that
        cannot be read, iteration raises TensorFlow's InvalidArgumentError, which names it.
        """
        import_tensorflow()
        from finetune.data.pixel_dataset import pixel_dataset

        return pixel_dataset(list(each_image(images)), labels, self.model.network.preprocessing, batch_size)

    def _logits(
        self,
        images: Iterable[ImageLike],
        batch_size: int,
        channel_order: ArrayOrder | None = None,
        ten_crop: bool = False,
    ) -> Iterator[tuple[PathOrUrl, LayerOutput | ImageError]]:
        """Yield the path or URL of each image with its logits (classes,), or (10, classes) for ten crops."""
        last = self.model.network.layers[-1].name
        rows = self._layer_outputs(images, [last], batch_size, channel_order, ten_crop)
        return ((path, found if isinstance(found, ImageError) else found[last]) for path, found in rows)

    def _layer_outputs(
        self,
        images: Iterable[ImageLike],
        layers: Sequence[str],
        batch_size: int,
        channel_order: ArrayOrder | None = None,
        ten_crop: bool = False,
    ) -> Iterator[tuple[PathOrUrl, Outputs | ImageError]]:
        """Yield the path or URL of each image with the outputs of the layers, or the error; (10, …) for ten crops."""
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
        usual = self.model.network.preprocessing
        preprocessing = ten_crop_preprocessing(usual) if ten_crop else usual

        def read(image: ImageLike) -> NetworkInput:
            return path_or_url(image), read_input(image, preprocessing, channel_order)

        return self._compute_batches(parallel_map(read, images), layers, batch_size, ten_crop)

    def _compute_batches(
        self, inputs: Iterator[NetworkInput], layers: Sequence[str], batch_size: int, ten_crop: bool
    ) -> Iterator[tuple[PathOrUrl, Outputs | ImageError]]:
        """Yield the inputs in order, each readable one replaced by the outputs of the layers for it."""
        network, _ = up_to(self.model.network, self.model.weights, layers)
        most = 0 if self._many else most_images(network, crops=10 if ten_crop else 1)
        ahead = list(islice(inputs, most + 1))
        function = self._compute_with_numpy if len(ahead) <= most else self._compute_with_tensorflow
        inputs = chain(ahead, inputs)
        del ahead  # so that it does not hold the images until the last one
        while batch := list(islice(inputs, batch_size)):
            readable = [pixels for _, pixels in batch if not isinstance(pixels, ImageError)]
            computed = self._compute(function, layers, readable, batch_size, ten_crop) if readable else {}
            each = ({name: output[number] for name, output in computed.items()} for number in count())
            for path, pixels in batch:
                yield path, pixels if isinstance(pixels, ImageError) else next(each)
            del computed  # all layers of a batch take 160 MB
        warn_of_dim_images()

    def _compute(
        self, function: BatchFunction, layers: Sequence[str], inputs: list[Image], batch_size: int, ten_crop: bool
    ) -> Outputs:
        """Return the outputs of the layers for some inputs: (inputs, …), or (inputs, 10, …) for ten crops."""
        if not ten_crop:
            return function(layers, np.stack(inputs))
        crops = np.concatenate([ten_crops(square, self.model.network.preprocessing.size) for square in inputs])
        # No more at once than without crops: activations take far more memory than pixels.
        parts = [function(layers, crops[start : start + batch_size]) for start in range(0, len(crops), batch_size)]
        return {name: np.concatenate([part[name] for part in parts]).reshape(len(inputs), 10, -1) for name in layers}

    def _compute_with_numpy(self, layers: Sequence[str], pixels: Image) -> Outputs:
        """Return the outputs of the layers for a batch."""
        network, weights = up_to(self.model.network, self.model.weights, layers)
        return outputs(network.layers, weights, network.preprocessing, pixels, layers)

    def _compute_with_tensorflow(self, layers: Sequence[str], pixels: Image) -> Outputs:
        """Return the outputs of the layers for a batch; the network is compiled once for them."""
        key = tuple(layers)
        if key not in self._compiled:
            # TensorFlow is imported here, so that a model that cannot be loaded is reported at once.
            import_tensorflow()
            from finetune.networks.compiled import Compiled

            network, weights = up_to(self.model.network, self.model.weights, layers)
            self._compiled[key] = Compiled(network.layers, weights, network.preprocessing, names=key)
        return self._compiled[key].outputs(pixels)
