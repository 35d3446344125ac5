"""The layers from the first trained one on, as variables: one step of training, and their output without it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.formats.weights_file import layer_of
from finetune.networks.forward import forward, normalize
from finetune.training.loss import count_correct, mixed, smoothed_targets, validation_losses, weighted_losses
from finetune.training.optimization import Optimizers, SolverSgd
from finetune.training.plan import Plan
from finetune.training.state import HeadValues
from finetune.training.store import StoredRows

EVALUATION_BATCH_SIZE = 256


@dataclass(frozen=True)
class LabelledRows:
    """Features with their labels: what one split gives the loop.

    `rows` holds `views` rows for every label, one after the other: rows 0 to views - 1 are the first image's. `paths`
    are the images', to name them, and `weights` how much each counts in the loss; both may be missing.
    """

    rows: NDArray[Any] | StoredRows
    labels: NDArray[np.int32]
    views: int = 1
    paths: tuple[Path, ...] = ()
    weights: NDArray[np.float32] | None = None


class Head:
    """The layers from the first trained one on, with their optimizer."""

    def __init__(self, plan: Plan) -> None:
        tf.config.experimental.enable_op_determinism()  # same seed, same bits
        tf.random.set_seed(plan.config.seed)  # determinism demands a seed; nothing here draws from it
        trunk, _ = plan.network.split(plan.trained)
        self._layers = plan.head
        self._plan, self._config = plan, plan.config
        self._from_pixels = not trunk
        names = {layer.name for layer in self._layers}
        self._weights: dict[str, Any] = {}
        for name, value in plan.weights.items():
            layer = layer_of(name)
            if layer in names:
                self._weights[name] = tf.Variable(value) if layer in plan.trained else tf.constant(value)
        self._variables = {name: value for name, value in self._weights.items() if isinstance(value, tf.Variable)}
        self._average = {name: tf.Variable(value) for name, value in self._variables.items()} if plan.config.ema else {}
        self._steps = tf.Variable(0, dtype=tf.int64)  # done so far: young averages forget faster
        self._optimizers = SolverSgd(plan.solver, self._variables) if plan.solver else Optimizers(
            plan.config.optimizer, self._variables, plan.factors, plan.config.weight_decay, loaded=plan.trainable
        )  # fmt: skip
        self.row_type = np.uint8 if self._from_pixels else np.float32
        rows = tf.TensorSpec((None, *plan.network.shape_before(self._layers[0].name)), self.row_type)
        labels, each = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((None,))
        seed, share = tf.TensorSpec((), tf.int64), tf.TensorSpec(())
        self._step = tf.function(self._train_on, input_signature=[rows, labels, each, seed, share], autograph=False)
        self._validate = tf.function(self._validate_on, input_signature=[rows, labels], autograph=False)

    def _train_on(
        self, rows: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor, seed: tf.Tensor, share: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step, as `step` says, on tensors."""
        x = self._input(rows)
        targets = smoothed_targets(labels, self._plan.network.num_classes, self._config.label_smoothing)
        if self._config.mixup:
            x, targets, weight = mixed(share, x, targets, weight)
        with tf.GradientTape() as tape:
            logits = forward(self._layers, self._weights, x, seed=seed, trained=self._plan.trained, many=True)
            losses = weighted_losses(logits, targets, weight)
            loss = tf.reduce_mean(losses)
        self._optimizers.apply(tape.gradient(loss, [self._variables[name] for name in self._optimizers.names]))
        self._move_average(self._config.ema)
        return tf.reduce_sum(losses), count_correct(logits, labels)

    def _validate_on(self, rows: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the sum of a batch's losses and how many are correct, by the average if there is one."""
        logits = forward(self._layers, {**self._weights, **self._average}, self._input(rows), many=True)
        return tf.reduce_sum(validation_losses(logits, labels)), count_correct(logits, labels)

    def _input(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the input of the first layer: rows that are pixels are normalized."""
        return normalize(self._plan.network.preprocessing, rows) if self._from_pixels else rows

    def _move_average(self, decay: float) -> None:
        """Move the average by 1 - decay of the way, further while it is young (tf.train.ExponentialMovingAverage)."""
        if not self._average:
            return
        steps = tf.cast(self._steps.assign_add(1), tf.float32)
        keep = tf.minimum(decay, (1 + steps) / (10 + steps))
        for name, average in self._average.items():
            average.assign(keep * average + (1 - keep) * self._variables[name])

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        self._optimizers.set_rate(rate)

    def step(
        self, rows: NDArray[Any], labels: NDArray[np.int32], weights: NDArray[np.float32], seed: int, share: float = 1.0
    ) -> tuple[float, float]:
        """Take one step; return the sum of the batch's weighted losses, and how many images were correct.

        `seed` determines the dropout masks; `share` is how much of each image mixup keeps.
        """
        loss, correct = self._step(rows, labels, weights, tf.constant(seed, tf.int64), tf.constant(share, tf.float32))
        return float(loss), float(correct)

    def evaluate(self, data: LabelledRows) -> tuple[float, float]:
        """Return mean loss and accuracy over `data`, without dropout; every image counts the same."""
        results = [
            self._validate(data.rows[index], data.labels[index])
            for index in slices(np.arange(len(data.labels)), EVALUATION_BATCH_SIZE)
        ]
        loss, correct = (sum(float(part) for part in parts) / len(data.labels) for parts in zip(*results, strict=True))
        return loss, correct

    def values(self) -> HeadValues:
        """Return copies of all that training changes."""
        weights, average = (
            {name: variable.numpy() for name, variable in variables.items()}
            for variables in (self._variables, self._average)
        )
        return HeadValues(weights, average, (self._steps.numpy(), *self._optimizers.values()))

    def restore(self, values: HeadValues) -> None:
        """Set all that training changes to what `values` returned."""
        for variables, saved in ((self._variables, values.weights), (self._average, values.average)):
            for name, variable in variables.items():
                variable.assign(saved[name])
        steps, *optimizer = values.optimizer
        self._steps.assign(int(steps))
        self._optimizers.restore(optimizer)


def head_logits(plan: Plan, data: LabelledRows) -> NDArray[np.float32]:
    """Return the logits (images, classes) of the head for `data` with the plan's weights, without dropout."""
    trunk, layers = plan.network.split(plan.trained)
    names = {layer.name for layer in layers}
    values = {name: tf.constant(value) for name, value in plan.weights.items() if layer_of(name) in names}

    @tf.function(reduce_retracing=True, autograph=False)
    def compute(x: tf.Tensor) -> tf.Tensor:
        return forward(layers, values, x if trunk else normalize(plan.network.preprocessing, x))

    indices = slices(np.arange(len(data.labels)), EVALUATION_BATCH_SIZE)
    return np.concatenate([compute(data.rows[index]).numpy() for index in indices])


def slices(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Yield `size` entries of `order` at a time; the last may be shorter."""
    return (order[start : start + size] for start in range(0, len(order), size))
