"""A Caffe solver that fits a network: how its weights are updated, iteration by iteration."""

from collections.abc import Mapping
from dataclasses import dataclass

from finetune.training.lr_policy import LrPolicy


@dataclass(frozen=True)
class Solver:
    """What `train --solver` takes the place of: schedule, momentum, and rate and decay of every weight.

    `rates`: `layer/weight` -> its `lr_mult`, a factor on the rate of the policy. `decays`: `layer/weight` -> L2 weight
    decay, `decay_mult` included. `epoch_steps`: iterations in an epoch. `sha256`: of the files that it was read from.
    """

    policy: LrPolicy
    momentum: float
    rates: Mapping[str, float]
    decays: Mapping[str, float]
    epoch_steps: int
    sha256: str

    def iterations(self, epoch: int) -> range:
        """Return the numbers of an epoch's iterations, from 0 on; the last epoch ends at `max_iter`."""
        start = (epoch - 1) * self.epoch_steps
        return range(start, min(start + self.epoch_steps, self.policy.max_iter))
