"""The options of a training run: each with its default, help and range; checked and frozen."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from finetune.choices import NETWORK_NAMES, WEIGHTS_NAMES, Crop, Level, Optimizer, PrecisionOption, Resize, Schedule
from finetune.errors import UsageError
from finetune.system.ranges import BELOW_ONE, BETWEEN, FINITE, GROUP_BY, POSITIVE, SEED, STRENGTH, Range, at_least
from finetune.system.text import did_you_mean


def _option(default: Any, help: str, range: Range | None = None, names: tuple[str, ...] = ()) -> Any:
    """Return a field; shells complete the `names`, but other values are allowed too."""
    return field(default=default, metadata={"help": help, "range": range, "names": names})


AUTO = "auto"  # in place of the layer of --probe

LAYERS = ("skip", "train", "stages")  # the options that name the layers to train by gradient

# What has no meaning for a linear probe, which is not trained by gradient.
BY_GRADIENT = (
    *LAYERS,
    *("epochs", "batch_size", "optimizer", "learning_rate", "schedule", "warmup", "layer_lr", "weight_decay"),
    *("label_smoothing", "mixup", "dropout", "class_weights", "ema", "patience", "seed", "views", "augmentation"),
    *("crop", "flip", "lighting", "color_jitter", "tensorboard", "checkpoint_minutes"),
)


@dataclass(frozen=True)
class TrainConfig:
    """The options of `finetune train`, under the same names; the help of each describes it.

    None means that the plan of the training chooses the value. Raises UsageError for a value out of range and for
    options that contradict each other.
    """

    data: Path = field(
        metadata={
            "help": "Images to train on: a folder with one folder per class, or with train/ and val/; a folder with "
            "MNIST's files; or a list (.txt, .csv). [required, except with --config or --resume]"
        }
    )
    probe: str | None = _option(
        None,
        "Fit a linear probe: cut the network after this layer, e.g. pool5, freeze all in front of it, and fit one new "
        "fully connected layer on its output by logistic regression. auto chooses the layer by cross-validation on the "
        "training images. [default: auto, unless an option of training by gradient is given]",
        names=(AUTO,),
    )
    skip: tuple[str, ...] | None = _option(
        None,
        "Layers whose pretrained values are not loaded: they start fresh and are trained by gradient, e.g. fc7,fc8. "
        "[default: the last layer, if anything is trained by gradient]",
    )
    train: tuple[str, ...] = _option(
        (), "Layers that are loaded and trained further, e.g. fc7, or all; all others are frozen. [default: none]"
    )
    stages: str | None = _option(
        None,
        "Unfreeze in stages, one after another, each as LAYERS:EPOCHS, e.g. fc8:10,fc6-fc8:10,all:5. "
        "[default: a single stage]",
    )
    weights: str = _option(
        "auto",
        f"Pretrained weights: a published name ({', '.join(WEIGHTS_NAMES)}), a file, a run, none (train from scratch), "
        "or auto: the network's published weights or, for alexnet, starter if they cannot be fetched.",
        names=("auto", "none", *WEIGHTS_NAMES),
    )
    network: str = _option("alexnet", f"The network to train: {', '.join(NETWORK_NAMES)}.", names=NETWORK_NAMES)
    out: Path | None = _option(
        None, "Folder for the run: its model, metrics, report and checkpoint. [default: runs/DATE_TIME]"
    )
    epochs: int | None = _option(
        None, "Passes over the training images. [default: 30, or the sum of the stages' epochs]", at_least(1)
    )
    batch_size: int = _option(32, "Images per training step.", at_least(1))
    optimizer: Optimizer | None = _option(
        None,
        "How gradients update the weights: sgd (with momentum 0.9), adam, or adamw (adam with decoupled weight decay). "
        "[default: sgd; adam from scratch]",
    )
    learning_rate: float | None = _option(
        None, "Learning rate at the start. [default: 0.001 for sgd; the network's own for adam and adamw]", POSITIVE
    )
    schedule: Schedule = _option(
        "cosine",
        "How the learning rate decreases: constant (not at all), step (to a tenth after each third of the epochs), or "
        "cosine (along half a cosine to 0).",
    )
    warmup: int = _option(0, "Epochs at the start in which the learning rate rises to its full value.", at_least(0))
    layer_lr: tuple[str, ...] = _option(
        (),
        "Factors on the learning rate by layer, e.g. conv=0.1,fc6=0.5; or a single number: the factor per layer of "
        "depth, counted from the last layer.",
    )
    weight_decay: float | None = _option(
        None, "Weight decay of kernels; biases and batch norm have none. [default: 0; 0.01 for adamw]", FINITE
    )
    label_smoothing: float = _option(0.0, "Share of the target probability that is spread over all classes.", BELOW_ONE)
    mixup: float = _option(
        0.0,
        "Train on mixtures of two images, in shares drawn from a beta distribution with this alpha; 0 is off.",
        FINITE,
    )
    dropout: float | None = _option(
        None,
        "Share of the values that dropout sets to 0 in training, in the trained layers; 0 is off. [default: the "
        "network's own, 0.5 for alexnet]",
        BELOW_ONE,
    )
    class_weights: Literal["none", "balanced"] = _option(
        "none", "balanced: every class counts the same in the loss, however many images it has."
    )
    ema: float = _option(
        0.0, "Evaluate and keep a moving average of the weights, with this decay, e.g. 0.99; 0 is off.", BELOW_ONE
    )
    patience: int | None = _option(
        None,
        "Stop after this many epochs without improvement, and keep the best epoch instead of the last. "
        "[default: train all epochs]",
        at_least(1),
    )
    seed: int = _option(0, "Seed of all random numbers: the same seed gives the same result.", SEED)
    val_fraction: float | None = _option(
        None,
        "Share of each class that is held out for validation, if the data has no validation split. [default: 0.2; none "
        "for a linear probe, which is measured by cross-validation]",
        BETWEEN,
    )
    group_by: str | None = _option(
        None,
        "Keep images of a group in one split: parent groups by the folder directly above the image, a regular "
        r"expression by its first group in the path, e.g. 'patient(\d+)'. [default: the column group of a CSV, "
        "otherwise no groups]",
        GROUP_BY,
        names=("parent",),
    )
    resize: Resize | None = _option(
        None,
        "How an image becomes square: crop takes its centre, warp squeezes all of it. [default: as the weights were "
        "trained]",
    )
    views: int | None = _option(
        None,
        "Views of each training image: 1 is the image itself, more add augmented views, 0 makes new views in every "
        "epoch. [default: 1, or 8 with augmentation]",
        at_least(0),
    )
    augmentation: Level | None = _option(
        None,
        "How views differ from the image: light takes random crops and flips, alexnet adds lighting noise, strong adds "
        "resized crops and colour jitter. [default: light]",
    )
    crop: Crop | None = _option(None, "Override --augmentation: the crop of each view. [default: as --augmentation]")
    flip: bool | None = _option(None, "Override --augmentation: mirror half of the views. [default: as --augmentation]")
    lighting: float | None = _option(
        None,
        "Override --augmentation: standard deviation of the lighting noise; 0 is off. [default: as --augmentation]",
        STRENGTH,
    )
    color_jitter: float | None = _option(
        None,
        "Override --augmentation: strength of the colour jitter; 0 is off. [default: as --augmentation]",
        STRENGTH,
    )
    check: bool = _option(
        True, "Before training, warn about copies across classes or splits and about unusual classes."
    )
    precision: PrecisionOption = _option(
        "auto", "Arithmetic of the frozen layers; auto is bfloat16 where the hardware is fast at it, otherwise float32."
    )
    cache: bool = _option(True, "Keep the features of the frozen layers for the next run.")
    checkpoint_minutes: float = _option(
        10.0, "Minutes between checkpoints within an epoch; there is always one at the end of an epoch.", POSITIVE
    )
    tensorboard: bool = _option(False, "Write events for TensorBoard too.")
    overwrite: bool = _option(False, "Replace the run that --out already holds.")

    def __post_init__(self) -> None:
        for option in fields(self):
            _check_range(option, getattr(self, option.name))
        for one, other, why in _EITHER:
            if getattr(self, one) and getattr(self, other):
                raise UsageError(f"{flag(one)} and {flag(other)} cannot both be given: {why}")
        self._check_probe()
        if self.views == 1 and any(getattr(self, name) is not None for name in AUGMENTATION):
            raise UsageError("augmentation needs more than one view: give --views 0, or 2 or more, or omit --views")

    @property
    def is_probe(self) -> bool:
        """Whether a linear probe is fitted, and nothing is trained by gradient: the default with loaded weights."""
        return self.probe is not None or not (self.weights == "none" or self.by_gradient)

    @property
    def by_gradient(self) -> list[str]:
        """The options given that only training by gradient has, those that name layers first."""
        defaults = {option.name: option.default for option in fields(self)}
        return [name for name in BY_GRADIENT if getattr(self, name) != defaults[name]]

    def _check_probe(self) -> None:
        """Raise UsageError for options that have no meaning for a probe."""
        if self.probe is None:
            return
        if self.weights == "none":
            raise UsageError("--probe reads the output of loaded layers, but --weights none loads nothing; omit one")
        for name in self.by_gradient:
            raise UsageError(f"--probe and {flag(name)} cannot both be given: a probe needs no gradient; omit one")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> "TrainConfig":
        """Return the config that `to_json` wrote; raise UsageError for an unknown option or an invalid value."""
        values = {name: checked_option(name, value) for name, value in options.items()}
        if values.get("data") is None:
            raise UsageError("--data is missing: name a folder with one folder of images per class")
        return cls(**values)


AUGMENTATION = ("augmentation", "crop", "flip", "lighting", "color_jitter")  # the options for how views differ

# Options that cannot be combined, and why.
_EITHER = (
    ("stages", "epochs", "each stage has its own epochs"),
    ("stages", "train", "each stage names the layers that it trains"),
    ("stages", "patience", "every stage is trained to its end"),
)


def flag(name: str) -> str:
    """Return the command line option of a field: `batch_size` is --batch-size."""
    return f"--{name.replace('_', '-')}"


def checked_option(name: str, value: Any) -> Any:
    """Return an option's value from JSON or TOML with the type of its field.

    Raises UsageError for an unknown option, and for a value of the wrong type or out of range.
    """
    known = {option.name: option for option in fields(TrainConfig)}
    if name not in known:
        raise UsageError(f"unknown option {name!r}{did_you_mean(name, known)}; see finetune train --help")
    typed = _typed(name, value, known[name].type)
    _check_range(known[name], typed)
    return typed


def _check_range(option: Field[Any], value: Any) -> None:
    """Raise UsageError if the value is out of the field's range."""
    range = option.metadata.get("range")
    if range and value is not None and not range.holds(value):
        raise UsageError(f"{flag(option.name)} {range.words}, not {value}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value from JSON or TOML with the type `kind`; raise UsageError if it does not fit."""
    choices = getattr(kind, "__args__", (kind,))  # of a union; of a plain type, itself
    wanted = [arg for choice in choices for arg in getattr(choice, "__args__", (choice,))]
    optional = type(None) in wanted
    if value is None and optional:
        return None
    if Path in wanted and isinstance(value, str | Path):
        return Path(value)
    if str in wanted and Ellipsis in wanted:  # tuple[str, ...]
        items = [value] if isinstance(value, str) else value
        if isinstance(items, list | tuple) and all(isinstance(item, str | int | float) for item in items):
            return split_names(map(str, items))
    elif isinstance(value, bool):
        if bool in wanted:
            return value
    elif isinstance(value, int | float) and float in wanted:
        with suppress(OverflowError):  # an integer of more than 308 digits
            return float(value)
    elif value in wanted or (type(value) in wanted and type(value) in (int, str)):
        return value
    words = [str(arg) for arg in wanted if isinstance(arg, str)] or [
        arg.__name__ for arg in wanted if isinstance(arg, type) and arg is not type(None)
    ]
    raise UsageError(f"{flag(name)} is {value!r}; expected {' or '.join(words)}")


def split_names(values: Iterable[str]) -> tuple[str, ...]:
    """Return all names in texts that each hold one or more, separated by commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
