"""Fine-tune AlexNet and its family, with their published Caffe weights, on your own images.

    run = finetune.train(finetune.TrainConfig(data=Path("images"), out=Path("runs/insects")))
    classifier = finetune.load("runs/insects")
    for prediction in classifier.predict(["photo.jpg"]):
        print(prediction.path, prediction.scores[0].label)

Names are imported on first use, so `import finetune` itself is instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Classifier",
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
    from finetune.classifier import Classifier, load
    from finetune.config import TrainConfig
    from finetune.errors import FinetuneError
    from finetune.prediction import Features, Prediction, Score
    from finetune.runs.run import Run
    from finetune.training.train import train

_MODULES = {
    "Classifier": "classifier",
    "Features": "prediction",
    "FinetuneError": "errors",
    "Prediction": "prediction",
    "Run": "runs.run",
    "Score": "prediction",
    "TrainConfig": "config",
    "load": "classifier",
    "train": "training.train",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'finetune' has no attribute {name!r}")
    return getattr(import_module(f"finetune.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
