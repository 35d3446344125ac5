"""Caffe's learning rate policies: values worked out by hand, and what is refused."""

import math
from typing import Any

import pytest
from support.caffe_prototxt import solver_text

from finetune.errors import UsageError
from finetune.formats.prototxt import parse
from finetune.training.lr_policy import LrPolicy, read_policy

BARE: dict[str, Any] = {"gamma": None, "stepsize": None}


def policy(**changes: Any) -> LrPolicy:
    return read_policy(parse(solver_text(**changes), "solver.prototxt"))


@pytest.mark.parametrize(
    ("changes", "iterations", "rates"),
    [
        ({"lr_policy": '"fixed"', **BARE}, (0, 9), (0.001, 0.001)),
        # 0.001 · 0.1^⌊i / 4⌋
        ({}, (0, 3, 4, 7, 8), (1e-3, 1e-3, 1e-4, 1e-4, 1e-5)),
        # one tenth from each of the iterations 2, 3 and 7 on
        ({"lr_policy": '"multistep"', "stepvalue": [2, 3, 7], "stepsize": None}, (0, 1, 2, 3, 6, 7, 9),
         (1e-3, 1e-3, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6)),
        # 0.001 · 0.5^i
        ({"lr_policy": '"exp"', "gamma": 0.5, "stepsize": None}, (0, 1, 3), (1e-3, 5e-4, 1.25e-4)),
        # 0.001 · (1 + 3 i)^-0.5: 1, 1/2 and 1/4 of it at 0, 1 and 5
        ({"lr_policy": '"inv"', "gamma": 3, "power": 0.5}, (0, 1, 5), (1e-3, 5e-4, 2.5e-4)),
        # 0.001 · (1 - i / 10)²
        ({"lr_policy": '"poly"', "power": 2}, (0, 1, 5, 9), (1e-3, 8.1e-4, 2.5e-4, 1e-5)),
        # 0.001 / (1 + e^(-ln 3 · (i - 4))): 3^4 = 81 at 0, a half at 4, 3/4 at 5
        ({"lr_policy": '"sigmoid"', "gamma": math.log(3)}, (0, 4, 5), (1e-3 / 82, 5e-4, 7.5e-4)),
        # e^9,000,000 is not a float; e^700 is
        ({"lr_policy": '"sigmoid"', "gamma": 1000, "stepsize": 9000}, (0,), (1e-3 * math.exp(-700),)),
    ],
)  # fmt: skip
def test_rates_by_hand(changes: dict[str, Any], iterations: tuple[int, ...], rates: tuple[float, ...]) -> None:
    found = policy(**changes)
    assert [found.rate(iteration) for iteration in iterations] == pytest.approx(rates, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lr_policy": '"cosine"'},
         "lr_policy: expected fixed, step, exp, inv, multistep, poly, sigmoid, not 'cosine'"),
        ({"lr_policy": None}, "lr_policy is missing; expected lr_policy with a text"),
        ({"base_lr": None}, "base_lr is missing; expected base_lr with a number"),
        ({"max_iter": None}, "max_iter is missing; expected max_iter with a number"),
        ({"gamma": None}, "lr_policy 'step' needs gamma, which is missing; add it"),
        ({"stepsize": None}, "lr_policy 'step' needs stepsize, which is missing; add it"),
        ({"stepsize": 0}, "stepsize: expected 1 or more, not 0"),
        ({"lr_policy": '"multistep"'}, "lr_policy 'multistep' needs stepvalue, which is missing; add it"),
        ({"lr_policy": '"inv"'}, "lr_policy 'inv' needs power, which is missing; add it"),
        ({"lr_policy": '"poly"'}, "lr_policy 'poly' needs power, which is missing; add it"),
        ({"lr_policy": '"sigmoid"', "stepsize": None}, "lr_policy 'sigmoid' needs stepsize, which is missing; add it"),
        ({"lr_policy": '"exp"', "gamma": None}, "lr_policy 'exp' needs gamma, which is missing; add it"),
        ({"stepvalue": [5, 5]}, "stepvalue: expected whole numbers, each above the one before; sort them"),
        ({"stepvalue": [5, 3]}, "stepvalue: expected whole numbers, each above the one before; sort them"),
        ({"stepvalue": [1.5]}, "stepvalue: expected whole numbers, each above the one before; sort them"),
        ({"base_lr": 0}, "expected base_lr and max_iter above 0 and gamma of 0 or more, not 0, 10 and 0.1"),
        ({"max_iter": 0}, "expected base_lr and max_iter above 0 and gamma of 0 or more, not 0.001, 0 and 0.1"),
        ({"gamma": -1}, "expected base_lr and max_iter above 0 and gamma of 0 or more, not 0.001, 10 and -1"),
        ({"lr_policy": '"exp"', "gamma": 1e300},
         "the learning rate grows beyond all numbers; lower gamma or power"),
    ],
)  # fmt: skip
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        policy(**changes)
    assert str(error.value) == f"solver.prototxt: {message}"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"lr_policy": '"fixed"'}, "0.001 throughout"),
        ({}, "0.001 by the policy step (gamma 0.1, stepsize 4)"),
        ({"lr_policy": '"multistep"', "stepvalue": [2, 30000]},
         "0.001 by the policy multistep (gamma 0.1, stepvalue 2, 30000)"),
        ({"stepsize": 10_000_000}, "0.001 by the policy step (gamma 0.1, stepsize 10000000)"),
    ],
)  # fmt: skip
def test_in_words(changes: dict[str, Any], text: str) -> None:
    assert policy(**changes).describe() == text
