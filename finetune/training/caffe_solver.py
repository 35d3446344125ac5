"""Caffe's solver.prototxt, with the net that it names, as options of a training; what cannot be honoured is refused.

Fields and their defaults from `SolverParameter` in BVLC's src/caffe/proto/caffe.proto.
"""

from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Any

from finetune.config import TrainConfig
from finetune.errors import UsageError
from finetune.formats.prototxt import Message, read_prototxt
from finetune.networks.layers import Dropout
from finetune.option_rules import flag
from finetune.system.ranges import BELOW_ONE, FINITE
from finetune.training.caffe_net import CaffeNet, read_net
from finetune.training.lr_policy import FIELDS, LrPolicy, read_policy

LARGEST_BATCH = 65_536  # images; all of a batch are in memory

_HONOURED = {*FIELDS, "net", "train_net", "momentum", "weight_decay", "iter_size", "random_seed"}
# Honoured at one value only, that of most published solvers; `solver_type` is the older name of `type`.
_FIXED = {"type": "SGD", "solver_type": "SGD", "regularization_type": "L2"}
# What these say changes no weight: where to compute, when to test and what to print; a run keeps every epoch's state.
_WITHOUT_EFFECT = {
    *("solver_mode", "device_id", "layer_wise_reduce", "debug_info", "display", "average_loss"),
    *("test_net", "test_net_param", "test_state", "test_iter", "test_interval", "test_compute_loss"),
    *("test_initialization", "snapshot", "snapshot_prefix", "snapshot_diff", "snapshot_format", "snapshot_after_train"),
}


@dataclass(frozen=True)
class CaffeSolver:
    """A solver as its file and that of its net describe it; `weight_decay` is without `decay_mult`.

    `batch_size`: images per iteration, the net's times `iter_size`. `seed`: None where the file does not say.
    """

    path: Path
    net: CaffeNet
    policy: LrPolicy
    momentum: float
    weight_decay: float
    batch_size: int
    seed: int | None

    def epoch_steps(self, images: int) -> int:
        """Return in how many iterations every training image is seen once."""
        return ceil(images / self.batch_size)

    def options(self, images: int) -> dict[str, Any]:
        """Return the options of the training that the solver and its net determine, for so many training images.

        The net crops at random and mirrors, or the images are used as they are; nothing else is augmented.
        """
        transform = self.net.transform
        augmented = bool(transform.crop or transform.mirror)
        return {
            "optimizer": "sgd",
            "learning_rate": self.policy.base_lr,
            "weight_decay": self.weight_decay,
            "batch_size": self.batch_size,
            "epochs": ceil(self.policy.max_iter / self.epoch_steps(images)),
            "dropout": self._dropout(),
            "views": 0 if augmented else 1,
            "crop": ("random" if transform.crop else "center") if augmented else None,
            "flip": transform.mirror if augmented else None,
            **({} if self.seed is None else {"seed": self.seed}),
            **{name: _DEFAULTS[name] for name in _REPLACED},
        }

    def _dropout(self) -> float:
        """Return the rate of all dropout layers, 0 where the net has none."""
        rates = {layer.rate for layer in self.net.layers if isinstance(layer, Dropout)}
        if len(rates) > 1:
            found = ", ".join(map(str, sorted(rates)))
            raise UsageError(f"{self.net.path.name}: expected one dropout_ratio, not {found}; make them equal")
        return next(iter(rates), 0.0)


_DEFAULTS = {field.name: field.default for field in fields(TrainConfig)}
_REPLACED = ("schedule", "warmup", "layer_lr", "stages", "augmentation", "lighting", "color_jitter")


def with_solver(config: TrainConfig, solver: CaffeSolver, images: int) -> TrainConfig:
    """Return the options with those of the solver; raise UsageError where one is given that differs from them."""
    options = solver.options(images)
    for name, value in options.items():
        if getattr(config, name) not in (_DEFAULTS[name], value):
            raise UsageError(
                f"{flag(name)} and --solver cannot both be given: the solver determines it; omit {flag(name)}, "
                f"or change {solver.path.name}"
            )
    return replace(config, **options)


def read_solver(path: Path) -> CaffeSolver:
    """Return the solver in a file, with its net; raise UsageError for what is missing, or cannot be honoured."""
    solver = read_prototxt(path)
    solver.check_known(_HONOURED | set(_FIXED) | _WITHOUT_EFFECT | {"clip_gradients"})
    for key, only in _FIXED.items():
        if solver.text(key, only) != only:
            raise UsageError(f"{solver.place}: {key}: expected {only}, not {solver.text(key)}; train with Caffe")
    if solver.number("clip_gradients", -1.0) >= 0:
        raise UsageError(f"{solver.place}: clip_gradients cannot be honoured; remove it, or train with Caffe")
    momentum, decay = solver.number("momentum", 0.0), solver.number("weight_decay", 0.0)
    if not (BELOW_ONE.holds(momentum) and FINITE.holds(decay)):
        raise UsageError(
            f"{solver.place}: expected momentum of 0 or more and below 1 and weight_decay of 0 or more, not "
            f"{momentum:g} and {decay:g}"
        )
    policy = read_policy(solver)
    net = read_net(_net_of(solver, path))
    batch_size = net.batch_size * max(solver.whole("iter_size", 1), 1)
    if batch_size > LARGEST_BATCH:
        raise UsageError(f"{solver.place}: expected batches of {LARGEST_BATCH:,} images at most, not {batch_size:,}")
    seed = solver.whole("random_seed") if solver.number("random_seed", -1.0) >= 0 else None
    return CaffeSolver(path, net, policy, momentum, decay, batch_size, seed)


def _net_of(solver: Message, path: Path) -> Path:
    """Return the file of the net to train."""
    keys = [key for key in ("net", "train_net") if key in solver.values]
    if len(keys) != 1:
        found = " and ".join(keys) or "none"
        raise UsageError(f"{solver.place}: expected net, the file of the net to train, but found {found}; name one")
    named = solver.text(keys[0])
    if file := find_named(named, path.parent):
        return file
    raise UsageError(
        f"{solver.place}: {keys[0]} {named!r} is neither in the working directory nor next to {path}; put it there"
    )


def find_named(named: str, folder: Path) -> Path | None:
    """Return the file that a prototxt names: from the working directory, as in Caffe, or in the prototxt's folder."""
    return next((path for path in (Path(named), folder / named, folder / Path(named).name) if path.is_file()), None)
