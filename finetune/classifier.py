"""Classify images with a trained model: what scripts and `finetune predict` use."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from finetune.data.decode import Image, read_input
from finetune.data.parallel import parallel_map
from finetune.errors import ImageError, WeightsError
from finetune.metrics import softmax
from finetune.model import Model, load_model, model_of
from finetune.pretrained import catalogue
from finetune.pretrained.read import read_weights
from finetune.quiet import import_tensorflow
from finetune.run import newest, open_run

if TYPE_CHECKING:
    from finetune.networks.compiled import Compiled

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Score:
    """One class with its probability; `index` is its place in `class_names`."""

    index: int
    label: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one image: the most probable classes first, or the error that kept it from being read."""

    path: Path
    scores: tuple[Score, ...] = ()
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the row that `--json` prints: path and predictions, or path and error."""
        if self.error is not None:
            return {"path": str(self.path), "error": self.error}
        return {"path": str(self.path), "predictions": [asdict(score) for score in self.scores]}


def load(ref: str | None = None, network: str | None = None) -> "Classifier":
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
    path, name = catalogue.resolve(ref)
    return Classifier(model_of(catalogue.described(read_weights(path), name), network))


def _default() -> str:
    run = newest()
    if run:
        return str(run.path)
    return "bvlc_alexnet" if catalogue.find("bvlc_alexnet") else "starter"


class Classifier:
    """A model ready to classify."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._temperature = _temperature(model)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes; a prediction's index is a place in it."""
        return self._model.class_names

    @property
    def temperature(self) -> float:
        """What the logits are divided by before the softmax; 1 where the model's file holds none."""
        return self._temperature

    def predict(self, paths: Iterable[Path], top: int = 5, batch_size: int = 32) -> Iterator[Prediction]:
        """Yield one prediction for every path, in order, with the `top` most probable classes.

        Files are decoded on all cores while the network computes. A file that cannot be read yields its error.
        """
        for path, logits in self.logits(paths, batch_size):
            if isinstance(logits, ImageError):
                yield Prediction(path, error=str(logits))
            else:
                yield Prediction(path, self._scores(softmax(logits[None], self._temperature)[0], top))

    def logits(
        self, paths: Iterable[Path], batch_size: int = 32
    ) -> Iterator[tuple[Path, NDArray[np.float32] | ImageError]]:
        """Yield every path, in order, with its logits (classes,) as the network gives them, or with its error."""

        def read(path: Path) -> tuple[Path, Image | ImageError]:
            return path, read_input(path, self._model.network.preprocessing)

        loaded = parallel_map(read, paths)
        while batch := list(islice(loaded, batch_size)):
            images = [image for _, image in batch if not isinstance(image, ImageError)]
            rows = iter(self._forward(np.stack(images)) if images else ())
            for path, image in batch:
                yield path, image if isinstance(image, ImageError) else next(rows)

    @cached_property
    def _forward(self) -> "Compiled":
        # TensorFlow only now: a model that cannot be loaded is told at once.
        import_tensorflow()
        from finetune.networks.compiled import Compiled

        network = self._model.network
        return Compiled(network.layers, self._model.weights, network.preprocessing)

    def _scores(self, probabilities: NDArray[np.float64], top: int) -> tuple[Score, ...]:
        best = np.argsort(-probabilities, kind="stable")[:top]
        return tuple(Score(int(i), self.class_names[i], float(probabilities[i])) for i in best)


def _temperature(model: Model) -> float:
    """Return the temperature in the model's file; raise WeightsError for what cannot be one."""
    value = model.about.get("temperature", 1.0)
    if not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise WeightsError(f"the model's temperature is {value!r}; expected a number above 0; write the file again")
    return value
