"""The options of a training run: each with its default, help and range; checked and frozen."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from finetune.choices import (
    AS_TRAINED,
    NETWORK_NAMES,
    WEIGHTS_NAMES,
    Crop,
    Interpolation,
    Level,
    LightingOption,
    Optimizer,
    PrecisionOption,
    Resize,
    Schedule,
)
from finetune.errors import UsageError
from finetune.option_rules import BY_GRADIENT, LAYERS, check_combinations, flag
from finetune.system import option
from finetune.system.ranges import (
    BELOW_ONE,
    BETWEEN,
    FINITE,
    GROUP_BY,
    LIGHTING,
    MEAN_TO_TRAIN,
    POSITIVE,
    SEED,
    STRENGTH,
    at_least,
)
from finetune.system.text import did_you_mean
from finetune.system.typed_value import typed_value

AUTO = "auto"  # in place of the layer of --probe

_NAMING_LAYERS = ("probe", *LAYERS, "layer_lr")


@dataclass(frozen=True)
class TrainConfig:
    """The options of `finetune train`, under the same names; the help of each describes it.

    None means that the plan of the training chooses the value. Raises UsageError for a value out of range and for
    options that contradict each other.
    """

    data: Path = option.data(
        MISSING,
        "Images to train on: a folder with one folder per class, or with train/ and val/; a folder with MNIST's files; "
        "or a list (.txt, .csv, .parquet). [required, except with --config or --resume]",
        metavar="DIR",
    )
    probe: str | None = option.layers(
        None,
        "Fit a linear probe: cut the network after this layer, e.g. pool5, freeze all in front of it, and fit one new "
        "fully connected layer on its output by logistic regression. auto chooses the layer by cross-validation on the "
        "training images. [default: auto, unless an option of training by gradient is given]",
        metavar="LAYER",
        names=(AUTO,),
    )
    skip: tuple[str, ...] | None = option.layers(
        None,
        "Layers whose pretrained values are not loaded: they start fresh and are trained by gradient, e.g. fc7,fc8. "
        "[default: the last layer, if anything is trained by gradient]",
        metavar="LAYERS",
    )
    train: tuple[str, ...] = option.layers(
        (),
        "Layers that are loaded and trained further, e.g. fc7, or all; all others are frozen. [default: none]",
        metavar="LAYERS",
    )
    stages: str | None = option.layers(
        None,
        "Unfreeze in stages, one after another, each as LAYERS:EPOCHS, e.g. fc8:10,fc6-fc8:10,all:5. "
        "[default: a single stage]",
        metavar="STAGES",
    )
    weights: str = option.layers(
        "auto",
        f"Pretrained weights: a published name ({', '.join(WEIGHTS_NAMES)}), a file, a run, none (train from scratch), "
        "or auto: the network's published weights or, for alexnet, starter if they cannot be fetched.",
        metavar="WEIGHTS",
        names=("auto", "none", *WEIGHTS_NAMES),
    )
    network: str = option.layers(
        "alexnet", f"The network to train: {', '.join(NETWORK_NAMES)}.", metavar="NETWORK", names=NETWORK_NAMES
    )
    out: Path | None = option.run(
        None, "Folder for the run: its model, metrics, report and checkpoint. [default: runs/DATE_TIME]", metavar="DIR"
    )
    solver: Path | None = option.optimisation(
        None, "Train as this solver.prototxt of Caffe says, and the net that it names.", metavar="FILE"
    )
    epochs: int | None = option.optimisation(
        None,
        "Passes over the training images. [default: 30, or the sum of the stages' epochs]",
        at_least(1),
        metavar="EPOCHS",
    )
    batch_size: int = option.optimisation(32, "Images per training step.", at_least(1), metavar="N")
    optimizer: Optimizer | None = option.optimisation(
        None,
        "How gradients update the weights: sgd (with momentum 0.9), adam, or adamw (adam with decoupled weight decay). "
        "[default: sgd; adam from scratch]",
    )
    learning_rate: float | None = option.optimisation(
        None,
        "Learning rate at the start. [default: 0.001 for sgd; the network's own for adam and adamw]",
        POSITIVE,
        metavar="RATE",
    )
    schedule: Schedule = option.optimisation(
        "cosine",
        "How the learning rate decreases: constant (not at all), step (to a tenth after each third of the epochs), or "
        "cosine (along half a cosine to 0).",
    )
    warmup: int = option.optimisation(
        0, "Epochs at the start in which the learning rate rises to its full value.", at_least(0), metavar="EPOCHS"
    )
    layer_lr: tuple[str, ...] = option.optimisation(
        (),
        "Factors on the learning rate by layer, e.g. conv=0.1,fc6=0.5; or a single number: the factor per layer of "
        "depth, counted from the last layer.",
        metavar="FACTORS",
    )
    weight_decay: float | None = option.optimisation(
        None,
        "Weight decay of kernels; biases and batch norm have none. [default: 0; 0.01 for adamw]",
        FINITE,
        metavar="DECAY",
    )
    label_smoothing: float = option.optimisation(
        0.0, "Share of the target probability that is spread over all classes.", BELOW_ONE, metavar="SHARE"
    )
    mixup: float = option.augmentation(
        0.0,
        "Train on mixtures of two images, in shares drawn from a beta distribution with this alpha; 0 is off.",
        FINITE,
        metavar="ALPHA",
    )
    dropout: float | None = option.optimisation(
        None,
        "Share of the values that dropout sets to 0 in training, in the trained layers; 0 is off. [default: the "
        "network's own, 0.5 for alexnet]",
        BELOW_ONE,
        metavar="SHARE",
    )
    class_weights: Literal["none", "balanced"] = option.optimisation(
        "none", "balanced: every class counts the same in the loss, however many images it has."
    )
    ema: float = option.optimisation(
        0.0,
        "Evaluate and keep a moving average of the weights, with this decay, e.g. 0.99; 0 is off.",
        BELOW_ONE,
        metavar="DECAY",
    )
    patience: int | None = option.optimisation(
        None,
        "Stop after this many epochs without improvement, and keep the best epoch instead of the last. "
        "[default: train all epochs]",
        at_least(1),
        metavar="EPOCHS",
    )
    seed: int = option.optimisation(
        0, "Seed of all random numbers: the same seed gives the same result.", SEED, metavar="SEED"
    )
    val_fraction: float | None = option.data(
        None,
        "Share of each class that is held out for validation, if the data has no validation split. [default: 0.2; none "
        "for a linear probe, which is measured by cross-validation]",
        BETWEEN,
        metavar="SHARE",
    )
    group_by: str | None = option.data(
        None,
        "Keep images of a group in one split: parent groups by the folder directly above the image, a regular "
        r"expression by its first group in the path, e.g. 'patient(\d+)'. [default: the column group of a CSV, "
        "otherwise no groups]",
        GROUP_BY,
        metavar="GROUPS",
        names=("parent",),
    )
    resize: Resize | None = option.data(
        None,
        "How an image becomes square: crop takes its centre, warp squeezes all of it. [default: as the weights were "
        "trained]",
    )
    mean: str = option.data(
        AS_TRAINED,
        "What is subtracted from pixels of 0 to 255: weights (the mean that the weights were trained with), none, the "
        "numbers B,G,R for blue, green and red, or, from scratch, data: the mean of your training images.",
        MEAN_TO_TRAIN,
        metavar="weights|none|data|B,G,R",
    )
    interpolation: Interpolation | None = option.data(
        None,
        "How images shrink: area averages, linear interpolates between four pixels, as cv2.resize by default. "
        "[default: as the weights were trained]",
    )
    views: int | None = option.augmentation(
        None,
        "Views of each training image: 1 is the image itself, more add augmented views, 0 makes new views in every "
        "epoch. [default: 1, or 8 with augmentation]",
        at_least(0),
        metavar="N",
    )
    augmentation: Level | None = option.augmentation(
        None,
        "How views differ from the image: light takes random crops and flips, alexnet adds lighting noise, strong adds "
        "resized crops and colour jitter. [default: light]",
    )
    crop: Crop | None = option.augmentation(
        None, "Override --augmentation: the crop of each view. [default: as --augmentation]"
    )
    flip: bool | None = option.augmentation(
        None, "Override --augmentation: mirror half of the views. [default: as --augmentation]"
    )
    lighting: LightingOption | None = option.augmentation(
        None,
        "Override --augmentation: strength of the lighting noise, in standard deviations of your pixels along each "
        "principal colour, or paper: 0.1 on the paper's scale, the eigenvalues of pixels from 0 to 1. 0 is off. "
        "[default: as --augmentation]",
        LIGHTING,
        metavar="STRENGTH|paper",
    )
    color_jitter: float | None = option.augmentation(
        None,
        "Override --augmentation: strength of the colour jitter; 0 is off. [default: as --augmentation]",
        STRENGTH,
        metavar="STRENGTH",
    )
    check: bool = option.data(
        True, "Before training, warn about copies across classes or splits and about unusual classes."
    )
    precision: PrecisionOption = option.run(
        "auto", "Arithmetic of the frozen layers; auto is bfloat16 where the hardware is fast at it, otherwise float32."
    )
    cache: bool = option.run(
        True, "Keep the features of the frozen layers, and the digests of files, for the next run."
    )
    checkpoint_minutes: float = option.run(
        10.0,
        "Minutes between checkpoints within an epoch; there is always one at the end of an epoch.",
        POSITIVE,
        metavar="MINUTES",
    )
    tensorboard: bool = option.run(False, "Write events for TensorBoard too.")
    overwrite: bool = option.run(False, "Replace the run that --out already holds.")

    def __post_init__(self) -> None:
        option.known_network(self.network)
        for field in fields(self):
            option.check_range(flag(field.name), field, getattr(self, field.name))
        check_combinations(self)

    @property
    def is_probe(self) -> bool:
        """Whether a linear probe is fitted, and nothing is trained by gradient: the default with loaded weights."""
        return self.probe is not None or not (self.weights == "none" or self.by_gradient)

    @property
    def by_gradient(self) -> list[str]:
        """The options given that only training by gradient has, those that name layers first."""
        defaults = {field.name: field.default for field in fields(self)}
        return [name for name in BY_GRADIENT if getattr(self, name) != defaults[name]]

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


def checked_option(name: str, value: Any) -> Any:
    """Return an option's value from JSON or TOML with the type of its field.

    Raises UsageError for an unknown option, and for a value of the wrong type or out of range.
    """
    known = {field.name: field for field in fields(TrainConfig)}
    if name not in known:
        raise UsageError(f"unknown option {name!r}{did_you_mean(name, known)}; see finetune train --help")
    typed = typed_value(flag(name), value, known[name].type)
    if name in _NAMING_LAYERS and typed is not None:
        typed = typed.lower() if isinstance(typed, str) else tuple(map(str.lower, typed))  # as the networks spell them
    option.check_range(flag(name), known[name], typed)
    return typed
