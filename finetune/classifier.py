"""Classify images with a trained model: what scripts, `finetune predict` and `finetune score` use."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from finetune.data.images import (
    ArrayOrder,
    ImageLike,
    place_of,
    read_input,
    several,
    ten_crop_preprocessing,
    ten_crops,
)
from finetune.errors import ImageError, UsageError, WeightsError
from finetune.formats.read_weights import read_weights
from finetune.metrics import softmax
from finetune.model import Model, load_model, model_of
from finetune.networks.layers import Shape
from finetune.pretrained import catalogue
from finetune.runs.run import newest, open_run
from finetune.system.parallel import parallel_map
from finetune.system.quiet import import_tensorflow
from finetune.system.text import did_you_mean

if TYPE_CHECKING:
    from finetune.networks.compiled import Compiled

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]
Place = Path | str | None  # of a picture: its path, its URL, or None for an array
Pool = Literal["mean", "none"]


@dataclass(frozen=True)
class Score:
    """One class with its probability; `index` is its place in `class_names`."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture, or the error that kept it from being read.

    `path`: the path or URL; None for an array. `scores`: the most probable classes first. `abstained`: the first of
    them lies below the probability that was asked for. `probabilities`: float64 (classes,) as `class_names`.
    """

    path: Place
    scores: tuple[Score, ...] = ()
    error: str | None = None
    abstained: bool = False
    probabilities: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the row that `--json` prints: path and predictions, or path and error."""
        path = None if self.path is None else str(self.path)
        if self.error is not None:
            return {"path": path, "error": self.error}
        abstained = {"abstained": True} if self.abstained else {}
        return {"path": path, "predictions": [asdict(score) for score in self.scores], **abstained}


@dataclass(frozen=True)
class Features:
    """What one layer gives for one picture, float32, or the error that kept it from being read; `path` as above."""

    path: Place
    values: Floats | None = field(default=None, compare=False)
    error: str | None = None


def load(ref: str | Path | None = None, network: str | None = None) -> "Classifier":
    """Return the classifier that `ref` means: a run directory, a model or weights file, or a name of the catalogue.

    None means the newest run in ./runs, else the published AlexNet where its file is present, else the starter; which
    one it is goes to the log. `network` decides where a file fits several networks. Raises WeightsError or RunError
    when there is none or it cannot be read.
    """
    if ref is None:
        ref = _default()
        logger.info("model: %s", ref)
    if Path(ref).is_dir():
        return Classifier(load_model(open_run(Path(ref)).model))
    path, name = catalogue.resolve(str(ref))
    return Classifier(model_of(catalogue.described(read_weights(path), name), network))


def _default() -> str:
    run = newest()
    if run:
        return str(run.path)
    return "bvlc_alexnet" if catalogue.find("bvlc_alexnet") else "starter"


class Classifier:
    """A model ready to classify.

    Pictures are paths, http(s) URLs, or arrays, uint8: (height, width, 3), whose `channel_order`, "rgb" or "bgr", must
    be said, or (height, width) gray. They are read on all cores while the network computes, at most 64 ahead; what
    cannot be read yields its error in its place. `batch_size`: pictures computed at once. `model`: network, weights and
    names of the classes.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._temperature = _temperature(model)
        self._functions: dict[str, Compiled] = {}

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; a prediction's index is a place in it."""
        return self.model.class_names

    @property
    def temperature(self) -> float:
        """What the logits are divided by before the softmax; 1 where the model's file holds none."""
        return self._temperature

    def predict(
        self,
        pictures: Iterable[ImageLike],
        top: int = 5,
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        ten_crop: bool = False,
        abstain_below: float = 0.0,
    ) -> Iterator[Prediction]:
        """Yield one prediction for every picture, in order, with the `top` most probable classes.

        `ten_crop` takes the mean of the probabilities of ten crops. A prediction whose first probability is less than
        `abstain_below` says so. Raises UsageError for such a share beyond 0 to 1 or an array that is no picture,
        WeightsError when the output is not finite.
        """
        if not 0 <= abstain_below <= 1:
            raise UsageError(f"abstain_below must lie between 0 and 1, not {abstain_below}")
        outputs = self._outputs(pictures, self._last, batch_size, channel_order, ten_crop)
        return (self._prediction(place, logits, top, abstain_below) for place, logits in outputs)

    def features(
        self,
        pictures: Iterable[ImageLike],
        layer: str = "fc7",
        batch_size: int = 32,
        *,
        channel_order: ArrayOrder | None = None,
        pool: Pool = "none",
    ) -> Iterator[Features]:
        """Yield for every picture, in order, what comes out of `layer`: (units,) or (height, width, channels).

        `pool` "mean" takes the mean over height and width of the latter. Raises UsageError for a layer that the network
        lacks and where there is nothing to pool.
        """
        self.feature_shape(layer, pool)
        outputs = self._outputs(pictures, layer, batch_size, channel_order)
        return (_features(place, values, pool) for place, values in outputs)

    def feature_shape(self, layer: str, pool: Pool = "none") -> Shape:
        """Return the shape of a picture's `features`; raise UsageError as they do."""
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
            raise UsageError(f"{layer} gives a vector, so there is nothing to pool; leave pool out")
        return shape[-1:]

    def logits(
        self, pictures: Iterable[ImageLike], batch_size: int = 32
    ) -> Iterator[tuple[Place, Floats | ImageError]]:
        """Yield every place, in order, with the logits (classes,) as the network gives them, or with the error."""
        return self._outputs(pictures, self._last, batch_size)

    @property
    def _last(self) -> str:
        return self.model.network.layers[-1].name

    def _outputs(
        self,
        pictures: Iterable[ImageLike],
        layer: str,
        batch_size: int,
        channel_order: ArrayOrder | None = None,
        ten_crop: bool = False,
    ) -> Iterator[tuple[Place, Floats | ImageError]]:
        """Yield every place with what the layer gives, or the error; for ten crops with (10, …)."""
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, not {batch_size}")
        preprocessing = self.model.network.preprocessing
        square = ten_crop_preprocessing(preprocessing) if ten_crop else preprocessing

        def read(picture: ImageLike) -> tuple[Place, NDArray[np.uint8] | ImageError]:
            return place_of(picture), read_input(picture, square, channel_order)

        return self._computed(parallel_map(read, several(pictures)), layer, batch_size, ten_crop)

    def _computed(
        self, read: Iterator[tuple[Place, NDArray[np.uint8] | ImageError]], layer: str, batch_size: int, ten_crop: bool
    ) -> Iterator[tuple[Place, Floats | ImageError]]:
        size = self.model.network.preprocessing.size
        while batch := list(islice(read, batch_size)):
            images = [image for _, image in batch if not isinstance(image, ImageError)]
            rows: Iterator[Floats] = iter(())
            if images and ten_crop:
                crops = np.concatenate([ten_crops(image, size) for image in images])
                # No more at once than without crops: activations take far more memory than pixels.
                parts = [self._compute(layer, crops[i : i + batch_size]) for i in range(0, len(crops), batch_size)]
                rows = iter(np.concatenate(parts).reshape(len(images), 10, -1))
            elif images:
                rows = iter(self._compute(layer, np.stack(images)))
            for place, image in batch:
                yield place, image if isinstance(image, ImageError) else next(rows)

    def _compute(self, layer: str, pixels: NDArray[np.uint8]) -> Floats:
        """Return what comes out of a layer for a batch."""
        if layer not in self._functions:
            # TensorFlow only now: a model that cannot be loaded is told at once.
            import_tensorflow()
            from finetune.networks.compiled import Compiled

            network = self.model.network
            until = [step.name for step in network.layers].index(layer) + 1
            self._functions[layer] = Compiled(network.layers[:until], self.model.weights, network.preprocessing)
        return self._functions[layer](pixels)

    def _prediction(self, place: Place, logits: Floats | ImageError, top: int, abstain_below: float) -> Prediction:
        if isinstance(logits, ImageError):
            return Prediction(place, error=str(logits))
        if not np.isfinite(logits).all():
            raise WeightsError(
                f"the model's output for {place or 'an array'} is not finite: its weights are damaged; get another file"
            )
        probabilities = softmax(np.atleast_2d(logits), self._temperature).mean(axis=0)
        best = np.argsort(-probabilities, kind="stable")[:top]
        scores = tuple(Score(int(i), self.class_names[i], float(probabilities[i])) for i in best)
        return Prediction(
            place, scores, abstained=bool(probabilities.max() < abstain_below), probabilities=probabilities
        )


def _features(place: Place, values: Floats | ImageError, pool: Pool) -> Features:
    if isinstance(values, ImageError):
        return Features(place, error=str(values))
    return Features(place, values.mean(axis=(0, 1)) if pool == "mean" else values)


def _temperature(model: Model) -> float:
    """Return the temperature in the model's file; raise WeightsError for what cannot be one."""
    value = model.about.get("temperature", 1.0)
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise WeightsError(f"the model's temperature is {value!r}; expected a number above 0; write the file again")
    return value
