"""Proof that frozen layers stayed frozen: their digests before training, and in the model that it wrote."""

from collections.abc import Mapping
from pathlib import Path

from finetune.formats.safetensors_file import tensor_digests
from finetune.system.digest import sha256_of_array
from finetune.training.plan import Plan


def frozen_digests(plan: Plan) -> dict[str, str]:
    """Return tensor -> SHA-256 of the values that training must not change, batch norm's statistics included."""
    return {name: sha256_of_array(plan.weights[name]) for name in plan.frozen}


def changed(before: Mapping[str, str], model: Path) -> list[str]:
    """Return the tensors whose digests in the file of a model differ from those `before`."""
    after = tensor_digests(model)
    return [name for name in before if before[name] != after.get(name)]
