"""What the tests of linear probes share: data, runs, features by the classifier, and scikit-learn's fit to them."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from finetune.classifier import Classifier, Features
from finetune.data.images import read_image
from finetune.data.network_input import to_input
from finetune.model import Model
from finetune.runs.run import Run

Float64s = NDArray[np.float64]


def features_of(paths: Sequence[Path], model: Model, layer: str) -> Float64s:
    """Return the classifier's features of image files after a layer, (images, values)."""
    return _stacked(Classifier(model).features(paths, layer))


def both_views(paths: Sequence[Path], model: Model, layer: str) -> Float64s:
    """Return the features of each image and, below them, of its mirror image: what the network sees, mirrored."""
    preprocessing = model.network.preprocessing
    squares = (to_input(read_image(path), preprocessing) for path in paths)
    mirrored = [np.ascontiguousarray(square[:, ::-1]) for square in squares]
    unresized = replace(model.network, preprocessing=replace(preprocessing, resize_to=preprocessing.size))
    classifier = Classifier(replace(model, network=unresized))
    below = _stacked(classifier.features(mirrored, layer, channel_order="bgr"))
    both = np.stack([features_of(paths, model, layer), below], axis=1)
    return both.reshape(2 * len(paths), -1)


def by_scikit_learn(rows: Float64s, labels: NDArray[Any], strength: float, views: int = 2) -> LogisticRegression:
    """Return scikit-learn's fit to rows with all views of each image; the scale is that of `probe_fit`."""
    squares = np.var(rows, axis=0).sum()
    plain = LogisticRegression(C=1 / (strength * squares), tol=1e-10, max_iter=100_000)
    return plain.fit(rows, np.repeat(labels, views))


def _stacked(features: Iterable[Features]) -> Float64s:
    return np.stack([np.ravel(one.values) for one in features if one.values is not None]).astype(np.float64)


def manifest(run: Run) -> list[dict[str, str]]:
    """Return the lines of manifest.csv."""
    return list(csv.DictReader((run.path / "manifest.csv").read_text(encoding="utf-8").splitlines()))


def with_val(data: Path) -> Path:
    """Move the last three images of each class to a validation split."""
    for folder in sorted(data.iterdir()):
        for split in ("train", "val"):
            (data / split / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir()):
            path.rename(data / ("val" if int(path.stem) >= 7 else "train") / folder.name / path.name)
        folder.rmdir()
    return data
