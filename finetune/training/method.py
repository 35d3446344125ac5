"""How a plan trains, as lines of text: epochs, optimizer, loss, views, augmentation, precision; or a probe's fit."""

from collections.abc import Iterable, Iterator

from finetune.choices import AS_TRAINED, Crop, Schedule
from finetune.networks.layers import Dropout
from finetune.option_rules import AUGMENTATION
from finetune.training.defaults import LEVEL
from finetune.training.plan import Plan
from finetune.training.stage_spec import Stage

_SCHEDULES: dict[Schedule, str] = {
    "constant": "throughout",
    "step": "divided by 10 after each third",
    "cosine": "falling along a cosine",
}
_CROPS: dict[Crop, str] = {"center": "", "random": "random crops", "resized": "resized crops"}


def method(plan: Plan) -> Iterator[str]:
    """Yield a line for each part of the method; what is off is not mentioned."""
    if plan.config.is_probe:
        yield _fit(plan)
        yield "views: each image and its mirror image"
    else:
        yield _training(plan)
        yield _optimizer(plan)
        yield from _loss(plan)
        yield from _views(plan)
    yield from _input(plan)
    yield _precision(plan)


def _input(plan: Plan) -> Iterator[str]:
    """Yield what the network sees, if the options say something about it."""
    config, preprocessing = plan.config, plan.network.preprocessing
    if config.resize is None and config.interpolation is None and config.mean == AS_TRAINED:
        return
    size = preprocessing.size
    mean = ", ".join(f"{value:g}" for value in preprocessing.mean)
    parts = [
        f"the centre of the image, {size} × {size} pixels",
        "interpolated linearly" if preprocessing.interpolation == "linear" else "",
        f"minus {mean} ({preprocessing.channel_order})" if any(preprocessing.mean) else "no mean is subtracted",
    ]
    if preprocessing.resize == "warp":
        parts[0] = f"the whole image, squeezed to {size} × {size} pixels"
    yield f"input: {_joined(parts)}"


def _fit(plan: Plan) -> str:
    """Return how a linear probe is fitted; before it is chosen, its layer and strength are open."""
    chosen = f" of strength {plan.probe.chosen.strength:g} on {plan.probe.chosen.layer}" if plan.probe else ""
    return f"training: logistic regression with an L2 penalty{chosen}"


def _training(plan: Plan) -> str:
    """Return how long is trained, in which steps, and which epoch is kept."""
    config = plan.config
    rates = sorted({layer.rate for layer in plan.head if isinstance(layer, Dropout) and layer.rate})
    epochs = ", then ".join(map(_stage, plan.stages)) if len(plan.stages) > 1 else _epochs(plan.last_epoch)
    if plan.solver:
        epochs = f"{plan.solver.policy.max_iter:,} iterations ({epochs})"
    parts = [
        f"{epochs} in batches of {config.batch_size}",
        f"dropout {' and '.join(f'{rate:g}' for rate in rates)}" if rates else "",
        f"seed {config.seed}",
    ]
    best = f"the best epoch, and stops after {config.patience} without improvement"
    return f"training: {_joined(parts)}; keeps {best if config.patience else 'the last epoch'}"


def _stage(stage: Stage) -> str:
    """Return how long a stage of several is, and its layers, which follow each other in the network."""
    span = "-".join(dict.fromkeys((stage.layers[0], stage.layers[-1])))
    return f"{_epochs(stage.epochs)} of {span}"


def _optimizer(plan: Plan) -> str:
    """Return how the weights are updated; factors on the learning rate are in the table of layers."""
    config = plan.config
    if plan.solver:
        return (
            f"optimizer: Caffe's SGD, momentum {plan.solver.momentum:g}, learning rate "
            f"{plan.solver.policy.describe()}, weight decay {config.weight_decay:g}"
        )
    rate = [
        f"learning rate {config.learning_rate:g}",
        _SCHEDULES[config.schedule],
        f"after {_epochs(config.warmup)} of warmup" if config.warmup else "",
        "in each stage" if len(plan.stages) > 1 else "",
    ]
    parts = [
        config.optimizer,
        _joined(rate, " "),
        f"weight decay {config.weight_decay:g}" if config.weight_decay else "",
        f"moving average of the weights with decay {config.ema:g}" if config.ema else "",
    ]
    return f"optimizer: {_joined(parts)}"


def _loss(plan: Plan) -> Iterator[str]:
    """Yield what differs from plain cross-entropy, if anything does."""
    config = plan.config
    parts = [
        f"label smoothing {config.label_smoothing:g}" if config.label_smoothing else "",
        f"mixup {config.mixup:g}" if config.mixup else "",
        "every class counts the same" if config.class_weights == "balanced" else "",
    ]
    if any(parts):
        yield f"loss: {_joined(parts)}"


def _views(plan: Plan) -> Iterator[str]:
    """Yield which views of a training image there are, and how they differ."""
    config, augmentation = plan.config, plan.augmentation
    if config.views == 1 or not augmentation.changes:
        yield "views: each image itself"
        return
    several = f"{config.views} of each image: the image itself and {config.views - 1} augmented"
    yield f"views: {several if config.views else 'a new one of each image in every epoch'}"
    uncropped = augmentation.crop == "random" and plan.network.preprocessing.resize == "warp"
    scale = "eigenvalues, as in the paper" if config.lighting == "paper" else "standard deviations"
    settings = [
        "" if uncropped else _CROPS[augmentation.crop],
        "half of the views mirrored" if augmentation.flip else "",
        f"colour jitter {augmentation.color_jitter:g}" if augmentation.color_jitter else "",
        f"lighting noise of {augmentation.lighting:g} {scale}" if augmentation.lighting else "",
    ]
    overridden = any(getattr(config, name) is not None for name in AUGMENTATION if name != "augmentation")
    level = config.augmentation or LEVEL
    yield f"augmentation: {_joined(settings) if overridden else f'{level} ({_joined(settings)})'}"


def _precision(plan: Plan) -> str:
    """Return in which arithmetic what is computed."""
    if plan.precision == "float32":
        return "precision: float32"
    others = "float32 for everything else, validation included"
    return f"precision: {plan.precision} for the frozen layers' features to train on, {others}"


def _joined(parts: Iterable[str], separator: str = ", ") -> str:
    return separator.join(part for part in parts if part)


def _epochs(count: int) -> str:
    return f"{count} epoch" if count == 1 else f"{count} epochs"
