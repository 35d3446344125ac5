"""Proof that frozen layers stayed frozen: digests before training, and of the file that it left."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from finetune.formats.safetensors_file import tensor_digests
from finetune.training.plan import Plan


def frozen_digests(plan: Plan) -> dict[str, str]:
    """Return tensor -> SHA-256 of the values that training must not change, batch norm's statistics among them."""
    return {
        name: hashlib.sha256(np.ascontiguousarray(plan.weights[name]).view(np.uint8).data).hexdigest()
        for name in plan.frozen
    }


def changed(before: Mapping[str, str], model: Path) -> list[str]:
    """Return the tensors whose digests in a model's file differ from those `before`."""
    after = tensor_digests(model)
    return [name for name in before if before[name] != after.get(name)]
