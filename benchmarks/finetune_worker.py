"""The worker for finetune: `compare.py` starts it in the environment where finetune is installed."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from worker import milliseconds, serve

from finetune.classifier import load
from finetune.data.augment import LEVELS
from finetune.model import Model, load_model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.runs.open_model import open_model
from finetune.system.quiet import import_for_own_program, import_tensorflow
from finetune.training.defaults import Settled
from finetune.training.plan import Plan, SourceWeights
from finetune.training.stage_spec import Stage

MODEL = ".safetensors"
WEIGHTS = ".npz"  # the same weights for torch
PICKLED = ".npy"  # as the published weights are
DESCRIPTION = ".json"


def write_starter(prefix: str) -> None:
    """Write the starter for both workers."""
    _write(prefix, open_model("starter"))


def write_alexnet(prefix: str, fc_units: int) -> None:
    """Write AlexNet with random weights and 1,000 classes for both workers, also pickled."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from support.weights_bytes import python2_layers, python2_npy

    network = build("alexnet", {"fc_units": fc_units})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    _write(prefix, Model(network, weights, tuple(map(str, range(network.num_classes)))))
    Path(prefix + PICKLED).write_bytes(python2_npy(python2_layers(weights)))


def _write(prefix: str, model: Model) -> None:
    save_model(Path(prefix + MODEL), model)
    np.savez(prefix + WEIGHTS, **model.weights)
    layers = [
        {"kind": type(step.layer).__name__, "input_shape": step.input_shape, **asdict(step.layer)}
        for step in model.network.steps()
    ]
    description = {"preprocessing": model.network.preprocessing.to_json(), "layers": layers}
    Path(prefix + DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


@cache
def _model(prefix: str) -> Model:
    return load_model(Path(prefix + MODEL))


@cache
def _forward(prefix: str, precision: Any) -> Callable[..., Any]:
    from finetune.networks.compiled import Compiled

    model = _model(prefix)
    return Compiled(model.network.layers, model.weights, model.network.preprocessing, precision)


@cache
def _pixels(prefix: str, batch_size: int) -> Any:
    shape = (batch_size, *_model(prefix).network.input_shape)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def forward(prefix: str, batch_size: int, precision: str) -> float:
    """Return the milliseconds for one batch, from pixels to logits."""
    function, pixels = _forward(prefix, precision), _pixels(prefix, batch_size)
    return milliseconds(lambda: function(pixels))


@cache
def _step(prefix: str, batch_size: int) -> Callable[[], object]:
    import tensorflow as tf

    from finetune.training.head import Head

    tf.config.experimental.enable_op_determinism()  # as training does
    tf.random.set_seed(0)
    model = _model(prefix)
    layers = tuple(model.network.weighted_layers())
    config = Settled(data=Path(), skip=(), train=layers, optimizer="sgd", learning_rate=1e-6, weight_decay=0.0, views=1)
    stages, source = (Stage(layers, 1),), SourceWeights("none", None)
    plan = Plan(config, model.network, dict(model.weights), source, layers, stages, "float32", LEVELS["none"])
    head = Head(plan)
    head.set_rate(config.learning_rate)
    labels, weights = np.zeros(batch_size, np.int32), np.ones(batch_size, np.float32)
    return lambda: head.step(_pixels(prefix, batch_size), labels, weights, seed=0)


def step(prefix: str, batch_size: int) -> float:
    """Return the milliseconds for a full training step: forward, gradients of all weights, update."""
    return milliseconds(_step(prefix, batch_size))


def matmul(precision: Any) -> float:
    """Return the rate of a matrix product in GFLOP/s."""
    from finetune.networks.benchmark import matmul_gflops

    return matmul_gflops(precision)


def multiply_adds(prefix: str) -> int:
    """Return the multiply-adds for one image."""
    return sum(step.layer.multiply_adds(step.input_shape) for step in _model(prefix).network.steps())


@cache
def _classifier(prefix: str) -> Any:
    return load(prefix + MODEL)


def score(prefix: str, paths: list[str], batch_size: int) -> float:
    """Return the seconds to classify files, from their bytes to the classes; the model is loaded already."""
    start = time.perf_counter()
    count = sum(prediction.error is None for prediction in _classifier(prefix).predict(map(Path, paths), 5, batch_size))
    assert count == len(paths)
    return time.perf_counter() - start


if __name__ == "__main__":
    import_for_own_program()  # as every command does
    import_tensorflow()
    commands = (write_starter, write_alexnet, forward, step, matmul, multiply_adds, score)
    serve({command.__name__: command for command in commands})
