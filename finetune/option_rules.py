"""Which options of `train` belong together, and which cannot be combined."""

from typing import TYPE_CHECKING

from finetune.choices import AS_TRAINED, MEAN_OF_DATA
from finetune.errors import UsageError

if TYPE_CHECKING:
    from finetune.config import TrainConfig

LAYERS = ("skip", "train", "stages")  # the options that name the layers to train by gradient
AUGMENTATION = ("augmentation", "crop", "flip", "lighting", "color_jitter")  # the options for how views differ

# What has no meaning for a linear probe, which is not trained by gradient.
BY_GRADIENT = (
    *LAYERS,
    *("solver", "epochs", "batch_size", "optimizer", "learning_rate", "schedule", "warmup", "layer_lr", "weight_decay"),
    *("label_smoothing", "mixup", "dropout", "class_weights", "ema", "patience", "seed", "views", "augmentation"),
    *("crop", "flip", "lighting", "color_jitter", "tensorboard", "checkpoint_minutes"),
)

# Options that cannot be combined, and why.
_EITHER = (
    ("stages", "epochs", "each stage has its own epochs"),
    ("stages", "train", "each stage names the layers that it trains"),
    ("stages", "patience", "every stage is trained to its end"),
)


def flag(name: str) -> str:
    """Return the command line option of a field: `batch_size` is --batch-size."""
    return f"--{name.replace('_', '-')}"


def check_combinations(config: "TrainConfig") -> None:
    """Raise UsageError for options that contradict each other, or have no meaning together."""
    for one, other, why in _EITHER:
        if getattr(config, one) and getattr(config, other):
            raise UsageError(f"{flag(one)} and {flag(other)} cannot both be given: {why}")
    if config.probe is not None:
        _check_probe(config)
    if config.mean == MEAN_OF_DATA and config.weights != "none":
        raise UsageError(
            "--mean data is the mean of your images, but loaded layers expect the mean that they were trained with; "
            "omit it, or train from scratch with --weights none"
        )
    if config.solver and config.mean != AS_TRAINED:
        raise UsageError("--solver and --mean cannot both be given: its net says what is subtracted; omit --mean")
    if config.views == 1 and any(getattr(config, name) is not None for name in AUGMENTATION):
        raise UsageError("augmentation needs more than one view: give --views 0, or 2 or more, or omit --views")


def _check_probe(config: "TrainConfig") -> None:
    if config.weights == "none":
        raise UsageError("--probe reads the output of loaded layers, but --weights none loads nothing; omit one")
    for name in config.by_gradient:
        raise UsageError(f"--probe and {flag(name)} cannot both be given: a probe needs no gradient; omit one")
