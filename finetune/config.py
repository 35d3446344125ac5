"""What a training run is asked to do: checked once, frozen, to and from JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from finetune.data.preprocessing import Resize
from finetune.errors import UsageError
from finetune.networks.precision import PrecisionOption

Optimizer = Literal["sgd", "adam", "adamw"]


@dataclass(frozen=True)
class TrainConfig:
    """The options of `finetune train`, under the same names.

    `weights`: a name of the catalogue, a file, "none" (all layers fresh) or "auto". `skip`: layers whose pretrained
    values are not loaded; they start fresh and are trained; None means the last layer. `train`: layers that are
    loaded and trained further, or ("all",). `resize` None keeps what the weights were trained with. `views`: how many
    views of each training image are computed and drawn from: 1 is the picture as it is, more are random crops and
    flips beside it, 0 draws a fresh one every epoch. `precision`: of the frozen layers. `cache` keeps their features.
    `optimizer` and `learning_rate` None are settled by the plan: SGD at 0.001 to fine-tune, Adam from scratch.
    """

    data: Path
    out: Path | None = None
    network: str = "alexnet"
    weights: str = "auto"
    skip: tuple[str, ...] | None = None
    train: tuple[str, ...] = ()
    epochs: int = 30
    batch_size: int = 32
    optimizer: Optimizer | None = None
    learning_rate: float | None = None
    seed: int = 0
    val_fraction: float = 0.2
    resize: Resize | None = None
    views: int = 1
    precision: PrecisionOption = "auto"
    cache: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {getattr(self, name)}")
        if self.views < 0:
            raise UsageError(f"--views must be 0 or more, not {self.views}")
        if self.learning_rate is not None and not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"--learning-rate must be a number above 0, not {self.learning_rate}")
        if not 0 < self.val_fraction < 1:
            raise UsageError(f"--val-fraction must lie between 0 and 1, not {self.val_fraction}")
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"--seed must be a whole number from 0 to 2147483647, not {self.seed}")

    def to_json(self) -> dict[str, Any]:
        """Return the options as JSON knows them."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, options: Mapping[str, Any]) -> "TrainConfig":
        """Return the config that `to_json` wrote; raise UsageError for an unknown option."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(options) - known)
        if unknown:
            raise UsageError(f"unknown option {unknown[0]!r}; the options are {', '.join(sorted(known))}")
        paths = {name: Path(options[name]) for name in ("data", "out") if options.get(name) is not None}
        layers = {name: tuple(options[name]) for name in ("skip", "train") if options.get(name) is not None}
        return cls(**{**options, **paths, **layers})
