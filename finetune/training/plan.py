"""What happens to each layer: loaded or fresh, frozen or trained. Settled before anything is computed."""

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from finetune.config import AUGMENTATION, TrainConfig
from finetune.errors import UsageError, WeightsError
from finetune.formats.read_weights import read_weights
from finetune.formats.weights_file import layer_of
from finetune.networks import Network, build
from finetune.networks.initialize import fresh_weights
from finetune.pretrained import catalogue
from finetune.pretrained.infer import network_like
from finetune.pretrained.load import load_weights
from finetune.training.layer_options import Stage, layer_factors, parse_stages

logger = logging.getLogger(__name__)

Arrays = dict[str, NDArray[np.float32]]
Number = TypeVar("Number", int, float)

EPOCHS = 30
AUGMENTED_VIEWS = 8
SGD_LEARNING_RATE = 0.001  # BVLC's models/finetune_flickr_style/solver.prototxt
ADAMW_DECAY = 0.01  # as PyTorch's AdamW


@dataclass(frozen=True)
class Source:
    """Where the pretrained weights came from: the name that was asked for and the SHA-256 of the file."""

    name: str
    sha256: str | None


class Cut(NamedTuple):
    """How well the training images' classes are predicted when the layers `skip` start fresh, by cross-validation.

    `accuracy` is a fraction, with its standard error; `error` the mean squared error over the classes' targets.
    """

    skip: tuple[str, ...]
    accuracy: float
    standard_error: float
    error: float
    chosen: bool


@dataclass(frozen=True)
class Plan:
    """The network for the data's classes, its starting weights, and what becomes of each layer.

    `skip`: layers that start fresh and are trained. `trainable`: layers that are loaded and trained further. The
    others are loaded and frozen. Both in forward order. `stages`: which of them are trained when. `cuts`: what --skip
    auto chose from.
    """

    network: Network
    weights: Arrays
    source: Source
    skip: tuple[str, ...]
    trainable: tuple[str, ...]
    stages: tuple[Stage, ...] = ()
    cuts: tuple[Cut, ...] = ()

    def settle(self, config: TrainConfig) -> TrainConfig:
        """Return the options with everything that was left open filled in, so that they repeat the run.

        Fine-tuning is by SGD; training from scratch by Adam, since SGD diverges on raw pixels.
        """
        from_scratch = not set(self.network.weighted_layers()) - set(self.skip)
        optimizer = config.optimizer or ("adam" if from_scratch else "sgd")
        rate = SGD_LEARNING_RATE if optimizer == "sgd" else self.network.adam_learning_rate
        augmented = any(getattr(config, name) is not None for name in AUGMENTATION)
        return replace(
            config,
            weights=config.weights if Path(config.weights).is_file() else self.source.name,
            skip=self.skip,
            train=() if config.stages else self.trainable,
            epochs=None if config.stages else self.stages[-1].epochs,
            optimizer=optimizer,
            learning_rate=config.learning_rate or rate,
            weight_decay=_first(config.weight_decay, ADAMW_DECAY if optimizer == "adamw" else 0.0),
            views=_first(config.views, AUGMENTED_VIEWS if augmented else 1),
        )

    def at(self, stage: Stage, weights: Arrays) -> "Plan":
        """Return the plan for one stage alone, which begins with `weights` in place of those of the same names."""
        trainable = tuple(name for name in stage.layers if name not in self.skip)
        return replace(self, trainable=trainable, stages=(stage,), weights={**self.weights, **weights})

    def epochs(self, stage: Stage) -> range:
        """Return the numbers of a stage's epochs, which count on from stage to stage."""
        before = sum(earlier.epochs for earlier in self.stages[: self.stages.index(stage)])
        return range(before + 1, before + stage.epochs + 1)

    def factors(self, layer_lr: tuple[str, ...]) -> dict[str, float]:
        """Return layer -> factor on the learning rate, for those that --layer-lr names."""
        return layer_factors(layer_lr, self.network, self.trained)

    @property
    def last_epoch(self) -> int:
        """The number of the last epoch."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the tensors that training must not change, batch norm's statistics among them."""
        changed = {*self.skip, *self.trainable}
        return tuple(name for name in self.network.weight_shapes() if layer_of(name) not in changed)

    @property
    def trained(self) -> tuple[str, ...]:
        """The layers that training changes, in forward order."""
        return tuple(name for name in self.network.weighted_layers() if name in {*self.skip, *self.trainable})

    def describe(self) -> str:
        """Return one line that says what is loaded, fresh, frozen and trained."""
        loaded = [name for name in self.network.weighted_layers() if name not in self.skip]
        frozen = [name for name in loaded if name not in self.trainable]
        parts = [
            f"{self.network.name} from {self.source.name}" if loaded else f"{self.network.name} from scratch",
            f"frozen: {', '.join(frozen) or 'nothing'}",
            f"loaded and trained: {', '.join(self.trainable)}" if self.trainable else "",
            f"fresh and trained: {', '.join(self.skip) or 'nothing'}",
        ]
        return "; ".join(part for part in parts if part)


def make_plan(config: TrainConfig, num_classes: int) -> Plan:
    """Choose and read the weights and settle every layer's fate; raise UsageError or WeightsError when that fails."""
    path, name = choose_weights(config)
    if path is None:
        network = _with_classes(build(config.network), num_classes, config)
        network.check_layers(config.skip or (), "--skip")  # no weights, but a name mistyped is still one
        skip = tuple(network.weighted_layers())
        weights: Arrays = {}
    else:
        file = catalogue.described(read_weights(path), name)
        network = _with_classes(network_like(file, config.network), num_classes, config)
        asked = network.weighted_layers()[-1:] if config.skip is None else config.skip
        skip = network.check_layers(tuple(asked), "--skip")
        weights = load_weights(network, file, skip)
    weights |= fresh_weights(network, skip, config.seed)
    source = Source(name, _sha256(path) if path else None)
    if config.stages:
        stages = parse_stages(config.stages, network, skip)
    else:
        stages = (Stage((*skip, *_trainable(network, config.train, skip)), config.epochs or EPOCHS),)
    trainable = tuple(name for name in network.weighted_layers() if name in set(stages[-1].layers) - set(skip))
    if not skip and not trainable:
        raise UsageError(
            "nothing would be trained: --skip a layer to train it fresh, or --train one to train it further"
        )
    plan = Plan(network, weights, source, skip, trainable, stages)
    plan.factors(config.layer_lr)  # mistakes in it are told now
    return plan


def choose_weights(config: TrainConfig) -> tuple[Path | None, str]:
    """Return the weights file and its name; no file for "none". Only "auto" may fall back, and says so."""
    if config.weights == "none":
        return None, "none"
    if config.weights != "auto":
        return catalogue.resolve(config.weights)
    published, fallback = catalogue.PUBLISHED.get(config.network), catalogue.FALLBACK.get(config.network)
    if published is None:
        raise WeightsError(
            f"no weights are published for {config.network}; name a file with --weights, or none to train from scratch"
        )
    if path := catalogue.find(published):
        return path, published
    from finetune.pretrained.fetch import fetch  # here, since it loads the HTTP library

    try:
        return fetch(published), published
    except WeightsError as error:
        if not (fallback and (path := catalogue.find(fallback))):
            raise WeightsError(f"{error}; --weights none trains from scratch at once") from None
        logger.warning(
            "note: %s is not here and was not fetched; using the small %s (%d classes); `finetune weights fetch %s` "
            "says why",
            published,
            fallback,
            catalogue.CATALOGUE[fallback].num_classes,
            published,
        )
        logger.debug("%s", error)
        return path, fallback


def _first(given: Number | None, settled: Number) -> Number:
    return settled if given is None else given


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_classes(network: Network, num_classes: int, config: TrainConfig) -> Network:
    """Return the network with as many outputs as there are classes and the preprocessing that the user asked for."""
    preprocessing = network.preprocessing
    if config.resize:
        preprocessing = replace(preprocessing, resize=config.resize)
    return replace(build(network.name, {**network.options, "num_classes": num_classes}), preprocessing=preprocessing)


def _trainable(network: Network, asked: tuple[str, ...], skip: tuple[str, ...]) -> tuple[str, ...]:
    if asked == ("all",):
        return tuple(name for name in network.weighted_layers() if name not in skip)
    both = [name for name in asked if name in skip]
    if both:
        raise UsageError(f"{both[0]} is in --skip and in --train: skipped layers start fresh and are trained anyway")
    return network.check_layers(asked, "--train")
