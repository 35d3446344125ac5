"""Where the trained layers are computed: in this process, on its GPUs, or by several workers."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import tensorflow as tf

from finetune.errors import UsageError
from finetune.formats.weights_file import layer_of
from finetune.system.progress import saying
from finetune.training.cluster_group import cluster_group
from finetune.training.head import Head
from finetune.training.local_group import local_group
from finetune.training.plan import Plan
from finetune.training.trainable import Trainable
from finetune.training.worker_group import HeadOnWorkers

logger = logging.getLogger(__name__)


@contextmanager
def open_head(plan: Plan) -> Iterator[Trainable]:
    """Yield the trained layers of a plan, computed by as many workers as it says.

    Several are the GPUs of this machine, or without any, processes of it; with Ray, processes on its machines. Raises
    UsageError if there are fewer GPUs.
    """
    gpus = _gpus() if plan.workers > 1 and plan.engine == "local" else []
    if plan.workers == 1:
        yield Head(plan)
    elif gpus:
        if plan.workers > len(gpus):
            raise UsageError(f"--workers {plan.workers}: expected at most {len(gpus)}, the GPUs of this machine")
        yield Head(plan, _mirrored(tuple(gpus[: plan.workers])))
    else:
        _warn_of_ports()
        start = cluster_group if plan.engine == "ray" else local_group
        with start(plan.workers) as group:
            with saying("starting workers…"):
                head = HeadOnWorkers(_without_trunk(plan), group)
            yield head


@cache
def _warn_of_ports() -> None:
    """Warn once, not in every stage."""
    logger.warning(
        "workers talk to each other on ports that other machines can reach and that ask for no password; use --workers "
        "in a network that you trust"
    )


@cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.Strategy:
    """Return the strategy of some devices, one for all stages: a second one would collide with the first."""
    return tf.distribute.MirroredStrategy(devices)


def _gpus() -> list[str]:
    return [f"GPU:{place}" for place, _ in enumerate(tf.config.list_physical_devices("GPU"))]


def _without_trunk(plan: Plan) -> Plan:
    """Return the plan with the trained layers' weights only, since it is sent to every worker."""
    names = {layer.name for layer in plan.head}
    return replace(plan, weights={name: value for name, value in plan.weights.items() if layer_of(name) in names})
