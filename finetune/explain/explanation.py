"""`finetune explain`: draw where in an image the predicted class is, and a class of the user's choice."""

from collections.abc import Sequence
from pathlib import Path

from finetune.classifier import Classifier
from finetune.data.channels import to_rgb
from finetune.data.class_name import class_name
from finetune.data.images import read_input_or_raise
from finetune.errors import UsageError
from finetune.explain.drawing import draw_explanations
from finetune.explain.map_layer import check_map_layer, last_convolution
from finetune.explain.maps import grad_cam, occlusion
from finetune.explain.types import Explanation
from finetune.system.figure_file import FIGURE_ENDINGS
from finetune.system.output_file import check_output_file
from finetune.system.text import did_you_mean, first_few


def explain(
    classifier: Classifier,
    image: Path | str,
    out: Path,
    class_name: str | None = None,
    layer: str | None = None,
    *,
    overwrite: bool = False,
) -> tuple[Explanation, ...]:
    """Draw to `out`, a .png, .pdf or .svg, where in an image (path or URL) a class is, and return the maps.

    The first explanation is of the predicted class; a second follows if `class_name` names another one. `layer` is
    Grad-CAM's, by default the last convolution. Raises UsageError for an unknown class, a layer without height and
    width or a model without classes, ImageError when the image cannot be read, RunError when `out` cannot be written,
    or exists and `overwrite` is off.
    """
    check_output_file(out, FIGURE_ENDINGS, overwrite=overwrite)
    network = classifier.model.network
    layer = check_map_layer(network, layer or last_convolution(network))
    _check_class(classifier, class_name)
    pixels = read_input_or_raise(image, network.preprocessing)
    scores = next(classifier.predict([image], top=len(classifier.class_names))).scores
    chosen = [scores[0]]
    if class_name is not None:
        # ImageNet has two classes called crane: the more probable one is meant.
        wanted = next(score for score in scores if _is_called(score.label, class_name))
        chosen += [wanted] if wanted != scores[0] else []
    classes = [score.index for score in chosen]
    cams, drops = grad_cam(classifier, pixels, classes, layer), occlusion(classifier, pixels, classes)
    explanations = tuple(Explanation(*maps) for maps in zip(chosen, cams, drops, strict=True))
    rgb = to_rgb(pixels, network.preprocessing.channel_order)
    draw_explanations(out, f"{Path(image).name} as {network.name} sees it", rgb, explanations, layer)
    return explanations


def _is_called(label: str, name: str) -> bool:
    """Return whether `name` is the whole label or one of the comma-separated names in it, in any case."""
    return class_name(name).casefold() in {class_name(each).casefold() for each in (label, *_names(label))}


def _names(label: str) -> list[str]:
    return [name.strip() for name in label.split(",")]


def _check_class(classifier: Classifier, name: str | None) -> None:
    """Raise UsageError when the model has no classes, or none with that name."""
    labels: Sequence[str] = classifier.class_names
    if not labels:
        network = classifier.model.network
        raise UsageError(
            f"{network.name} ends with {network.layers[-1].name} and has no classes; explain needs a model with classes"
        )
    if name is not None and not any(_is_called(label, name) for label in labels):
        near = did_you_mean(name, [each for label in labels for each in _names(label)])
        known = first_few([_names(label)[0] for label in labels], separator="; ")
        raise UsageError(f"--class: the model has no class {name!r}{near}; its classes are {known}")
