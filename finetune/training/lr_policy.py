"""Caffe's learning rate policies: the rate by iteration."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from finetune.errors import UsageError
from finetune.formats.prototxt import Message

LrPolicyName = Literal["fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid"]

# The fields that a policy needs in addition to base_lr and max_iter.
_NEEDED: dict[LrPolicyName, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}
FIELDS = ("lr_policy", "base_lr", "max_iter", "gamma", "power", "stepsize", "stepvalue")


@dataclass(frozen=True)
class LrPolicy:
    """A policy with its numbers under Caffe's names; those that it does not need are 0 or empty."""

    name: LrPolicyName
    base_lr: float
    max_iter: int
    gamma: float = 0.0
    power: float = 0.0
    stepsize: int = 0
    stepvalue: tuple[int, ...] = ()

    def rate(self, iteration: int) -> float:
        """Return the learning rate of an iteration, counted from 0: `SolverParameter.lr_policy` in caffe.proto.

        multistep is step with the iterations in `stepvalue` in place of the multiples of `stepsize`.
        """
        match self.name:
            case "fixed":
                return self.base_lr
            case "step":
                return self.base_lr * self.gamma ** (iteration // self.stepsize)
            case "exp":
                return self.base_lr * self.gamma**iteration
            case "inv":
                return self.base_lr * (1 + self.gamma * iteration) ** -self.power
            case "multistep":
                return self.base_lr * self.gamma ** sum(iteration >= value for value in self.stepvalue)
            case "poly":
                return self.base_lr * (1 - iteration / self.max_iter) ** self.power
            case "sigmoid":
                return self.base_lr / (1 + math.exp(min(-self.gamma * (iteration - self.stepsize), 700)))

    def describe(self) -> str:
        """Return it for people, e.g. `0.001 by the policy step (gamma 0.1, stepsize 20000)`."""
        if self.name == "fixed":
            return f"{self.base_lr:g} throughout"
        numbers = {name: getattr(self, name) for name in _NEEDED[self.name]}
        shown = [
            f"{name} {f'{value:g}' if isinstance(value, float) else str(value).strip('(,)')}"
            for name, value in numbers.items()
        ]
        return f"{self.base_lr:g} by the policy {self.name} ({', '.join(shown)})"


def read_policy(solver: Message) -> LrPolicy:
    """Return the policy of a solver; raise UsageError for an unknown one, missing numbers, and those out of range."""
    name = next((known for known in get_args(LrPolicyName) if known == solver.text("lr_policy")), None)
    if name is None:
        raise UsageError(
            f"{solver.place}: lr_policy: expected {', '.join(get_args(LrPolicyName))}, not {solver.text('lr_policy')!r}"
        )
    for needed in _NEEDED[name]:
        if needed not in solver.values:
            raise UsageError(f"{solver.place}: lr_policy {name!r} needs {needed}, which is missing; add it")
    steps = solver.numbers("stepvalue")
    policy = LrPolicy(
        name,
        solver.number("base_lr"),
        solver.whole("max_iter"),
        solver.number("gamma", 0.0),
        solver.number("power", 0.0),
        solver.whole("stepsize", 0),
        tuple(map(int, steps)),
    )
    if list(steps) != sorted(set(policy.stepvalue)):
        raise UsageError(f"{solver.place}: stepvalue: expected whole numbers, each above the one before; sort them")
    if policy.base_lr <= 0 or policy.max_iter < 1 or policy.gamma < 0:
        raise UsageError(
            f"{solver.place}: expected base_lr and max_iter above 0 and gamma of 0 or more, not {policy.base_lr:g}, "
            f"{policy.max_iter} and {policy.gamma:g}"
        )
    if "stepsize" in _NEEDED[name] and policy.stepsize < 1:
        raise UsageError(f"{solver.place}: stepsize: expected 1 or more, not {policy.stepsize}")
    try:
        policy.rate(policy.max_iter - 1)
    except OverflowError:
        raise UsageError(f"{solver.place}: the learning rate grows beyond all numbers; lower gamma or power") from None
    return policy
