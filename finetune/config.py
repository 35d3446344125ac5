"""What a training run is asked to do: every option once, with its default, its help and its range; checked, frozen."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import Field, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from finetune.choices import (
    NETWORK_NAMES,
    WEIGHTS_NAMES,
    Crop,
    Level,
    Optimizer,
    PrecisionOption,
    Resize,
    Schedule,
)
from finetune.errors import UsageError
from finetune.system.text import did_you_mean


class Range(NamedTuple):
    """Which values an option may have, and the words for it."""

    holds: Callable[[Any], bool]
    words: str


def _from(low: int) -> Range:
    return Range(lambda value: value >= low, f"must be {low} or more")


_POSITIVE = Range(lambda value: 0 < value < float("inf"), "must be a number above 0")
_BELOW_ONE = Range(lambda value: 0 <= value < 1, "must be 0 or more and below 1")
_INSIDE = Range(lambda value: 0 < value < 1, "must lie between 0 and 1")
_STRENGTH = Range(lambda value: 0 <= value <= 1, "must lie from 0 to 1")
_FINITE = Range(lambda value: 0 <= value < float("inf"), "must be 0 or more")
_SEED = Range(lambda value: 0 <= value < 2**31, "must be a whole number from 0 to 2147483647")


def _option(default: Any, help: str, range: Range | None = None, names: tuple[str, ...] = ()) -> Any:
    """Return a field; `names` are words that a shell completes, others may be given too."""
    return field(default=default, metadata={"help": help, "range": range, "names": names})


@dataclass(frozen=True)
class TrainConfig:
    """The options of `finetune train`, under the same names; the help of each says what it means.

    None stands for what the plan settles. Raises UsageError for a value out of range.
    """

    data: Path = field(
        metadata={"help": "Folder with a folder per class, train/ and val/, or MNIST's files; or a list (.txt, .csv)."}
    )
    skip: tuple[str, ...] | None = _option(
        None,
        "Layers not loaded: they start fresh and are trained, e.g. fc7,fc8; or auto: as many as cross-validation on "
        "the training pictures finds best. [default: the last]",
    )
    train: tuple[str, ...] = _option((), "Layers that are loaded and trained further, or all. [default: none]")
    stages: str | None = _option(
        None, "Train more layers stage by stage instead, e.g. fc8:10,fc6-fc8:10,all:5 (layers:epochs)."
    )
    weights: str = _option(
        "auto",
        f"Published weights ({', '.join(WEIGHTS_NAMES)}), a file, none (from scratch), or auto: the network's "
        "published ones, else starter.",
        names=("auto", "none", *WEIGHTS_NAMES),
    )
    network: str = _option("alexnet", f"The network to train: {', '.join(NETWORK_NAMES)}.", names=NETWORK_NAMES)
    out: Path | None = _option(None, "Folder for the result. [default: runs/DATE_TIME]")
    epochs: int | None = _option(
        None, "Passes over the training pictures. [default: 30, or what the stages add up to]", _from(1)
    )
    batch_size: int = _option(32, "Pictures per step.", _from(1))
    optimizer: Optimizer | None = _option(
        None,
        "How gradients move the weights: sgd (with momentum 0.9), adam, or adamw (with decay apart). [default: sgd; "
        "adam from scratch]",
    )
    learning_rate: float | None = _option(
        None, "Learning rate at the start. [default: 0.001 for sgd, what suits the network for adam]", _POSITIVE
    )
    schedule: Schedule = _option(
        "cosine", "How the learning rate falls: along half a cosine to 0, by 10 after each third, or not at all."
    )
    warmup: int = _option(0, "Epochs in which the learning rate rises to its start.", _from(0))
    layer_lr: tuple[str, ...] = _option(
        (),
        "Factors on the learning rate by layer, e.g. conv=0.1,fc6=0.5; or one number: the factor per layer of depth.",
    )
    weight_decay: float | None = _option(
        None, "Decay of kernels; biases and batch norm are left out. [default: 0; 0.01 for adamw]", _FINITE
    )
    label_smoothing: float = _option(0.0, "Share of the target that is spread over all classes.", _BELOW_ONE)
    mixup: float = _option(0.0, "Mix pairs of pictures: alpha of the share's beta distribution; 0 is off.", _FINITE)
    class_weights: Literal["none", "balanced"] = _option(
        "none", "balanced: every class counts the same in the loss, however many pictures it has."
    )
    ema: float = _option(0.0, "Judge and keep a moving average of the weights with this decay; 0 is off.", _BELOW_ONE)
    patience: int | None = _option(
        None, "Stop after so many epochs without a better one. [default: train all epochs]", _from(1)
    )
    seed: int = _option(0, "Equal seeds give equal results.", _SEED)
    val_fraction: float = _option(0.2, "Share of each class kept for validation, if there is no val folder.", _INSIDE)
    resize: Resize | None = _option(
        None, "crop: centre of the picture; warp: all of it, squeezed. [default: as the weights were trained]"
    )
    views: int | None = _option(
        None,
        "Views of each training picture: 1 is as it is, more add augmented ones, 0 draws fresh ones every epoch. "
        "[default: 1, or 8 with augmentation]",
        _from(0),
    )
    augmentation: Level | None = _option(
        None,
        "How views differ. light: random crop and flip; alexnet: lighting too; strong: resized crops and colour "
        "jitter too. [default: light]",
    )
    crop: Crop | None = _option(None, "Over the level: where the views' crop lies. [default: as the level]")
    flip: bool | None = _option(None, "Over the level: mirror half of the views. [default: as the level]")
    lighting: float | None = _option(
        None, "Over the level: deviation of the lighting noise, 0 is off. [default: as the level]", _STRENGTH
    )
    color_jitter: float | None = _option(
        None, "Over the level: strength of the colour jitter, 0 is off. [default: as the level]", _STRENGTH
    )
    check: bool = _option(True, "Tell first of copies across classes and sides, and of odd classes.")
    precision: PrecisionOption = _option(
        "auto", "Arithmetic of the frozen layers; auto is bfloat16 where the hardware is fast at it."
    )
    cache: bool = _option(True, "Keep the frozen layers' features for the next run.")
    checkpoint_minutes: float = _option(
        10.0, "Within an epoch, keep what is needed to resume so often; every epoch's end does too.", _POSITIVE
    )
    tensorboard: bool = _option(False, "Write events for TensorBoard too.")
    overwrite: bool = _option(False, "Replace the run that --out holds.")

    def __post_init__(self) -> None:
        for option in fields(self):
            _check_range(option, getattr(self, option.name))
        for one, other, why in _EITHER:
            if getattr(self, one) and getattr(self, other):
                raise UsageError(f"{flag(one)} and {flag(other)} cannot both be given: {why}")
        self._check_auto()
        if self.views == 1 and any(getattr(self, name) is not None for name in AUGMENTATION):
            raise UsageError("augmentation needs views to differ: give --views 0, 2 or more, or leave it out")

    def _check_auto(self) -> None:
        if AUTO not in (self.skip or ()):
            return
        if others := [name for name in self.skip or () if name != AUTO]:
            raise UsageError(f"--skip {AUTO} chooses the layers itself; leave out {', '.join(others)}, or {AUTO}")
        for name, given in (("train", self.train), ("stages", self.stages)):
            if given:
                raise UsageError(
                    f"--skip {AUTO} and {flag(name)} cannot both be given: name the layers of both, or of none"
                )
        if self.weights == "none":
            raise UsageError(f"--skip {AUTO} chooses what is loaded, but --weights none loads nothing; leave out one")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON knows them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> "TrainConfig":
        """Return the config that `to_json` wrote; raise UsageError for an unknown option or a value of another kind."""
        values = {name: checked_option(name, value) for name, value in options.items()}
        if values.get("data") is None:
            raise UsageError("--data is missing: name a folder with a folder of pictures per class")
        return cls(**values)


AUTO = "auto"  # as the only name of --skip: chosen by `finetune.training.depth`
AUGMENTATION = ("augmentation", "crop", "flip", "lighting", "color_jitter")  # options that say how views differ

# Options that exclude each other, and why.
_EITHER = (
    ("stages", "epochs", "the stages' epochs add up to the run's"),
    ("stages", "train", "the stages say which layers are trained"),
    ("stages", "patience", "every stage runs to its end"),
)


def flag(name: str) -> str:
    """Return the option of the command line for a field."""
    return f"--{name.replace('_', '-')}"


def checked_option(name: str, value: Any) -> Any:
    """Return one option's value from JSON or TOML as its field's type.

    Raises UsageError for an unknown option and a value of another kind or out of range.
    """
    known = {option.name: option for option in fields(TrainConfig)}
    if name not in known:
        raise UsageError(f"no option is called {name!r}{did_you_mean(name, known)}; see finetune train --help")
    typed = _typed(name, value, known[name].type)
    _check_range(known[name], typed)
    return typed


def _check_range(option: Field[Any], value: Any) -> None:
    """Raise UsageError for a value that the field may not have."""
    range = option.metadata.get("range")
    if range and value is not None and not range.holds(value):
        raise UsageError(f"{flag(option.name)} {range.words}, not {value}")


def _typed(name: str, value: Any, kind: Any) -> Any:
    """Return a value from JSON or TOML as the field's type; raise UsageError when it is of another kind."""
    choices = getattr(kind, "__args__", (kind,))  # of a Literal or a union
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
    """Return the names in texts that may each hold several with commas."""
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())
