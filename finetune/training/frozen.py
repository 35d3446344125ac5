"""Proof that frozen layers stayed frozen: digests before training, and of the file that it left."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.training.plan import Plan


def frozen_digests(plan: Plan, weights: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Return tensor -> SHA-256 of the values that training must not change, batch norm's statistics among them."""
    return {name: _sha256(weights[name]) for name in plan.frozen}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Return the tensors whose digests differ."""
    return [name for name in before if before[name] != after.get(name)]


def _sha256(values: NDArray[Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).view(np.uint8).data).hexdigest()
