"""The plan of a training: what happens to each layer, on which options. Everything is settled here, once."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Engine, Precision
from finetune.data.augment import Augmentation
from finetune.data.dataset import Record
from finetune.formats.weights_file import layer_of
from finetune.networks import Network
from finetune.networks.initialize import Arrays
from finetune.networks.layers import Dropout, Layer
from finetune.training.defaults import Settled
from finetune.training.layer_rates import layer_factors
from finetune.training.solver import Solver
from finetune.training.stage_spec import Stage


class SourceWeights(NamedTuple):
    """Where the pretrained weights come from: the name that was asked for and the SHA-256 of the file."""

    name: str
    sha256: str | None


class ProbedLayer(NamedTuple):
    """How well a linear probe on the output of a layer does, by cross-validation, with its best strength.

    `strength`: of the L2 penalty, as in `probe_fit`. `accuracy` is a fraction, with its standard error; `log_loss` is
    in nats. `seconds`: of the cross-validation, the features not counted.
    """

    layer: str
    strength: float
    accuracy: float
    standard_error: float
    log_loss: float
    seconds: float
    chosen: bool


@dataclass(frozen=True)
class Probe:
    """What cross-validation chose, and what it says of the images that were held out.

    `drawn`: how many images took part. `records`: those that were held out once, with `logits`, (images, classes).
    """

    layers: tuple[ProbedLayer, ...]
    drawn: int
    records: tuple[Record, ...]
    logits: NDArray[np.float64]

    @property
    def chosen(self) -> ProbedLayer:
        """The layer that the probe reads."""
        return next(layer for layer in self.layers if layer.chosen)


@dataclass(frozen=True)
class Plan:
    """The network for the data's classes, its starting values, and what happens to each layer.

    `config`: the options with nothing left open. `trainable`: layers that are loaded and trained further, in addition
    to the fresh ones in `skip`; all others are loaded and frozen. Both in forward order. `stages`: which layers are
    trained when. `precision`: of the frozen layers' features to train on. `augmentation`: how views differ, with the
    lighting's components. `probe`: what a linear probe was chosen from, if the plan is for one. `solver`: what --solver
    says of every weight and iteration. `engine`: what computes the frozen layers' features. `workers`: how many compute
    a part of every batch each in training.
    """

    config: Settled
    network: Network
    weights: Arrays
    source: SourceWeights
    trainable: tuple[str, ...]
    stages: tuple[Stage, ...]
    precision: Precision
    augmentation: Augmentation
    probe: Probe | None = None
    solver: Solver | None = None
    engine: Engine = "local"
    workers: int = 1

    def at(self, stage: Stage, weights: Arrays) -> "Plan":
        """Return the plan for one stage alone, which starts with `weights` in place of those of the same names."""
        trainable = tuple(name for name in stage.layers if name not in self.skip)
        return replace(self, trainable=trainable, stages=(stage,), weights={**self.weights, **weights})

    def epochs(self, stage: Stage) -> range:
        """Return the numbers of a stage's epochs, which count on from stage to stage."""
        before = sum(earlier.epochs for earlier in self.stages[: self.stages.index(stage)])
        return range(before + 1, before + stage.epochs + 1)

    @property
    def skip(self) -> tuple[str, ...]:
        """The layers that start fresh and are trained, in forward order."""
        return tuple(self.network.weighted_layers()[-1:]) if self.config.is_probe else self.config.skip

    @property
    def head(self) -> tuple[Layer, ...]:
        """The layers from the first trained one on, as they are in training: with the dropout rate of --dropout."""
        _, layers = self.network.split(self.trained)
        rate = self.config.dropout
        if rate is None:
            return layers
        return tuple(replace(layer, rate=rate) if isinstance(layer, Dropout) else layer for layer in layers)

    @property
    def factors(self) -> dict[str, float]:
        """The factors on the learning rate by layer, for the layers that --layer-lr names."""
        return layer_factors(self.config.layer_lr, self.network, self.trained)

    @property
    def last_epoch(self) -> int:
        """The number of the last epoch."""
        return sum(stage.epochs for stage in self.stages)

    @property
    def frozen(self) -> tuple[str, ...]:
        """The names of the tensors that training must not change, batch norm's statistics included."""
        changed = {*self.skip, *self.trainable}
        return tuple(name for name in self.network.weight_shapes() if layer_of(name) not in changed)

    @property
    def trained(self) -> tuple[str, ...]:
        """The layers that training changes, in forward order."""
        return tuple(name for name in self.network.weighted_layers() if name in {*self.skip, *self.trainable})
