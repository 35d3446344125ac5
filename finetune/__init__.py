"""Fine-tune AlexNet and its family, with their published Caffe weights, on your own images.

    run = finetune.train(data="images", out="runs/insects")
    classifier = finetune.load("runs/insects")
    for prediction in classifier.predict("photos"):
        print(prediction.path, prediction.label, prediction.probability)

`help(finetune.train)` lists the options, `help(finetune.Classifier)` what images may be. Names are imported on first
use, so `import finetune` itself is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Classifier",
    "Description",
    "Features",
    "FinetuneError",
    "Prediction",
    "Run",
    "Score",
    "TrainConfig",
    "__version__",
    "load",
    "train",
]

if TYPE_CHECKING:
    from finetune.api import train
    from finetune.classifier import Classifier, load
    from finetune.config import TrainConfig
    from finetune.errors import FinetuneError
    from finetune.prediction import Features, Prediction, Score
    from finetune.pretrained.description import Description
    from finetune.runs.run import Run

_MODULES = {
    "Classifier": "classifier",
    "Description": "pretrained.description",
    "Features": "prediction",
    "FinetuneError": "errors",
    "Prediction": "prediction",
    "Run": "runs.run",
    "Score": "prediction",
    "TrainConfig": "config",
    "load": "classifier",
    "train": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(f"finetune.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
