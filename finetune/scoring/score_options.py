"""The options of `score` that its rows depend on, and which of them exclude each other."""

from dataclasses import dataclass
from typing import Literal

from finetune.errors import UsageError
from finetune.prediction import Pool

FeatureType = Literal["float32", "float16"]


@dataclass(frozen=True)
class ScoreOptions:
    """The options of `finetune score` that its rows depend on, under the same names.

    `features`: the layers whose outputs are written instead of predictions, "all" for every layer; `pool`: "mean" or
    "max" of each map of a convolution; `dtype`: of the features in the file. `probabilities` adds those of all classes
    to the `top` ones. A prediction less probable than `abstain_below` is marked; 0 marks none.
    """

    top: int = 5
    probabilities: bool = False
    features: tuple[str, ...] = ()
    pool: Pool = "none"
    dtype: FeatureType = "float32"
    ten_crop: bool = False
    abstain_below: float = 0.0
    batch_size: int = 32

    def __post_init__(self) -> None:
        for name in ("top", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be 1 or more, not {getattr(self, name)}")
        if not 0 <= self.abstain_below <= 1:
            raise UsageError(f"--abstain-below must lie between 0 and 1, not {self.abstain_below}")
        for name, default in (("pool", "none"), ("dtype", "float32")):
            if not self.features and getattr(self, name) != default:
                raise UsageError(f"--{name} is only for --features LAYERS; omit it")
        for name in ("probabilities", "ten_crop", "abstain_below"):
            if self.features and getattr(self, name):
                raise UsageError(f"--features writes no classes; omit --{name.replace('_', '-')}")
