"""What the routes share: the model and the queue before it."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Sequence
from functools import cache, partial
from math import prod
from typing import Any

from finetune.classifier import Classifier, Outputs
from finetune.errors import ImageError, RunError, UsageError, WeightsError
from finetune.prediction import prediction_of
from finetune.serving.batches import Batches, Compute
from finetune.serving.loaded_model import LoadedModel
from finetune.serving.uploads import Upload

logger = logging.getLogger(__name__)

MOST_VALUES = 1_000_000  # of features in one answer, 10 to 20 MB of JSON
BEFORE_TENSORFLOW = 0.3  # seconds, in which its import would make the first answer wait


class Service:
    """A model that answers requests; `start` and `stop` belong to the event loop that runs the app.

    `about`: what `GET /v1/model` answers, called once, in a thread.
    """

    def __init__(self, classifier: Classifier, about: Callable[[], dict[str, Any]]) -> None:
        self.batches = Batches()
        self.use(classifier, about)

    def use(self, classifier: Classifier, about: Callable[[], dict[str, Any]]) -> None:
        """Answer with this model from now on; what waits is still computed with the one before."""
        self.model = LoadedModel(classifier)
        self._about = cache(about)
        if self.batches.running:
            self._warm_up()

    def start(self) -> None:
        """Start the thread that computes, and a little later the one that imports TensorFlow."""
        self.batches.start()
        asyncio.get_running_loop().call_later(BEFORE_TENSORFLOW, self._warm_up)

    def stop(self) -> None:
        """End the thread, after the batch that is being computed; nobody waits for TensorFlow any more.

        The program ends once its import is done: Python crashes if it ends while another thread is in there.
        """
        self.model.warmed_up.set()
        self.batches.stop()

    def _warm_up(self) -> None:
        threading.Thread(target=self._load_tensorflow, args=(self.model,), name="tensorflow").start()

    def _load_tensorflow(self, model: LoadedModel) -> None:
        try:
            model.warm_up()
        except Exception as error:  # without it, everything but explanations still works
            logger.warning("TensorFlow cannot be loaded (%s), so NumPy computes everything, slower", error)
        finally:
            model.warmed_up.set()

    async def about(self) -> dict[str, Any]:
        """Return what `finetune.runs.about_model` says about the model."""
        return await asyncio.to_thread(self._about)

    async def predict(self, uploads: Sequence[Upload], top: int, ten_crop: bool) -> list[dict[str, Any]]:
        """Return the rows that `finetune predict --json` prints for the same images."""
        model = self.model
        compute = model.ten_crop_logits if ten_crop else model.logits
        names, temperature = model.classifier.class_names, model.classifier.temperature
        found = await self._computed(compute, uploads)
        return [
            prediction_of(upload.name, logits, names, temperature, top).to_json()
            for upload, logits in zip(uploads, found, strict=True)
        ]

    async def features(self, uploads: Sequence[Upload], layers: Sequence[str]) -> str:
        """Return the outputs of the layers for each image as JSON.

        Raises UsageError for an unknown layer and for more than MOST_VALUES numbers.
        """
        model = self.model
        values = len(uploads) * sum(map(prod, model.classifier.feature_shapes(layers).values()))
        if values > MOST_VALUES:
            raise UsageError(
                f"{values:,} numbers are more than the limit of {MOST_VALUES:,}; ask for fewer images or layers, "
                "or use finetune score --features"
            )
        found = await self._computed(partial(model.features, layers), uploads)
        return await asyncio.to_thread(_features_json, [upload.name for upload in uploads], found)

    async def explain(self, upload: Upload, label: str | None) -> bytes:
        """Return the Grad-CAM map of a class, by default the predicted one, as a PNG that fits over the image.

        Waits for TensorFlow. Raises ImageError if the image cannot be read, UsageError for an unknown class, RunError
        if TensorFlow cannot be loaded.
        """
        model = self.model
        classes = _indices_of(label, model.classifier.class_names)
        await asyncio.to_thread(model.warmed_up.wait)  # here, since what waits in the queue keeps others waiting
        if not model.with_tensorflow:
            raise RunError("explanations need TensorFlow, which cannot be loaded; the log of the server says why")
        (drawing,) = await self._computed(partial(model.explanations, classes), [upload])
        if isinstance(drawing, ImageError):
            raise drawing
        return drawing

    async def _computed(self, compute: Compute, uploads: Sequence[Upload]) -> list[Any]:
        return await asyncio.wrap_future(self.batches.submit(compute, [upload.data for upload in uploads]))


def _features_json(names: Sequence[str | None], rows: Sequence[Outputs | ImageError]) -> str:
    """Return a row for each image as JSON; raise WeightsError for numbers that JSON does not have."""
    try:
        return json.dumps(
            [
                {"path": name, "error": str(row)}
                if isinstance(row, ImageError)
                else {"path": name, "features": {layer: values.tolist() for layer, values in row.items()}}
                for name, row in zip(names, rows, strict=True)
            ],
            allow_nan=False,
        )
    except ValueError:
        raise WeightsError("the model's output is not finite: its weights are damaged; get another file") from None


def _indices_of(label: str | None, class_names: Sequence[str]) -> list[int]:
    """Return the classes of this name, of which ImageNet has two for crane; all if it is None."""
    found = [index for index, name in enumerate(class_names) if label in (None, name)]
    if not found:
        raise UsageError(f"the model has no class {label!r}; GET /v1/model lists its classes")
    return found
