"""`finetune explain`: where in a picture its predicted class lies, and a class of the user's choice, as a drawing."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.classifier import Classifier, Score
from finetune.data.channels import to_rgb
from finetune.errors import UsageError
from finetune.explain.drawing import check_out, draw_explanations
from finetune.explain.input import read_one
from finetune.explain.map_layer import check_map_layer, last_convolution
from finetune.explain.maps import grad_cam, occlusion
from finetune.system.text import did_you_mean


@dataclass(frozen=True)
class Explanation:
    """One class with its probability and its two maps, (size, size) float32, as `grad_cam` and `occlusion` say."""

    score: Score
    grad_cam: NDArray[np.float32]
    occlusion: NDArray[np.float32]


def explain(
    classifier: Classifier,
    picture: Path | str,
    out: Path,
    class_name: str | None = None,
    layer: str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Explanation, ...]:
    """Draw where in a picture (path or URL) its predicted class lies, and `class_name`, to the PNG `out`; return both.

    The first explanation is the predicted class; the second, if `class_name` is given and another, the class of that
    name. `layer` is Grad-CAM's, the last convolution unless named. Raises UsageError for a name that is no class, a
    layer that has no map or a model without classes, ImageError for a picture that cannot be read, RunError when `out`
    cannot be written or is there already and `overwrite` is off.
    """
    check_out(out, overwrite=overwrite)
    network = classifier.model.network
    layer = check_map_layer(network, layer or last_convolution(network))
    _check_class(classifier, class_name)
    pixels = read_one(picture, network.preprocessing)
    scores = next(classifier.predict([picture], top=len(classifier.class_names))).scores
    chosen = [scores[0]]
    if class_name is not None:
        # Of several classes of one name (ImageNet's two cranes) the most probable is meant.
        wanted = next(score for score in scores if _is_called(score.label, class_name))
        chosen += [wanted] if wanted != scores[0] else []
    classes = [score.index for score in chosen]
    maps = zip(
        chosen, grad_cam(classifier, pixels, classes, layer), occlusion(classifier, pixels, classes), strict=True
    )
    explanations = tuple(Explanation(*each) for each in maps)
    photo = to_rgb(pixels, network.preprocessing.channel_order)
    draw_explanations(out, f"{Path(picture).name} as {network.name} sees it", photo, explanations, layer)
    return explanations


def _is_called(label: str, name: str) -> bool:
    """Return whether `name` is the whole label or one of the names between its commas, in any case."""
    return name.casefold() in {each.casefold() for each in (label, *_names(label))}


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]


def _check_class(classifier: Classifier, name: str | None) -> None:
    """Raise UsageError when the model has no classes, or none of that name."""
    labels: Sequence[str] = classifier.class_names
    if not labels:
        network = classifier.model.network
        raise UsageError(
            f"{network.name} ends in {network.layers[-1].name} and knows no classes; explain needs a model that does"
        )
    if name is not None and not any(_is_called(label, name) for label in labels):
        near = did_you_mean(name, [each for label in labels for each in _names(label)])
        some = "; ".join(_names(label)[0] for label in labels[:10])
        some += f"; and {len(labels) - 10} more" if len(labels) > 10 else ""
        raise UsageError(f"--class: the model has no class {name!r}{near}; its classes are {some}")
