"""The layers from the first trained one on, as variables: one step of training, and their output without it."""

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.formats.weights_file import layer_of
from finetune.networks.forward import BatchPart, forward, normalize
from finetune.networks.layers import STATISTICS
from finetune.training.loss import count_correct, mixed, smoothed_targets, validation_losses, weighted_losses
from finetune.training.optimization import Optimizers, SolverSgd
from finetune.training.plan import Plan
from finetune.training.state import HeadValues
from finetune.training.trainable import EVALUATION_BATCH_SIZE, LabelledRows, Trainable, TrainingBatch, slices


class Head(Trainable):
    """The layers from the first trained one on, computed by the replicas of a strategy that are in this process.

    Without one there is a single replica. With several, each computes its part of a batch, losses and gradients are
    summed over all of them, and every copy of the variables takes the same step.
    """

    def __init__(self, plan: Plan, strategy: tf.distribute.Strategy | None = None) -> None:
        tf.config.experimental.enable_op_determinism()  # same seed, same bits
        tf.random.set_seed(plan.config.seed)  # determinism demands a seed; nothing here draws from it
        trunk, _ = plan.network.split(plan.trained)
        self._layers = plan.head
        self._plan, self._config = plan, plan.config
        self._from_pixels = not trunk
        self._strategy = strategy or tf.distribute.get_strategy()
        self.replicas = self._strategy.num_replicas_in_sync
        self.mixes = bool(plan.config.mixup)
        with self._strategy.scope():
            self._create_variables()
        rows = tf.TensorSpec((None, *plan.network.shape_before(self._layers[0].name)), row_type(plan))
        labels, each, bounds = (
            tf.TensorSpec((None,), tf.int32),
            tf.TensorSpec((None,)),
            tf.TensorSpec((None,), tf.int32),
        )
        first, seed, share = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.int64), tf.TensorSpec(())
        train, validate = [rows, labels, each, bounds, first, seed, share], [rows, labels, bounds, first]
        self._train = tf.function(self._train_together, input_signature=train, autograph=False)
        self._validate = tf.function(self._validate_together, input_signature=validate, autograph=False)

    def _create_variables(self) -> None:
        plan, names = self._plan, {layer.name for layer in self._layers}
        self._weights: dict[str, Any] = {}
        for name, value in plan.weights.items():
            layer = layer_of(name)
            if layer in names:
                self._weights[name] = _variable(name, value) if layer in plan.trained else tf.constant(value)
        self._variables = {name: value for name, value in self._weights.items() if isinstance(value, tf.Variable)}
        self._average = {name: tf.Variable(value) for name, value in self._variables.items()} if plan.config.ema else {}
        self._steps = tf.Variable(0, dtype=tf.int64)  # done so far: young averages forget faster
        self._optimizers = SolverSgd(plan.solver, self._variables) if plan.solver else Optimizers(
            plan.config.optimizer, self._variables, plan.factors, plan.config.weight_decay, loaded=plan.trainable
        )  # fmt: skip

    def train_on(self, batch: TrainingBatch) -> tuple[float, float]:
        """Take one step, as `Trainable.step` says; `batch` has the images of this process's replicas."""
        loss, correct = self._train(
            batch.rows,
            batch.labels,
            batch.weights,
            batch.bounds,
            batch.first,
            tf.constant(batch.seed, tf.int64),
            tf.constant(batch.share, tf.float32),
        )
        return float(loss), float(correct)

    def validate_on(self, rows: NDArray[Any], labels: NDArray[np.int32]) -> tuple[float, float]:
        """Return the sum of a batch's losses, and how many images are correct, by the average if there is one."""
        return self.validate_part(rows, labels, self.bounds(len(labels)), 0)

    def validate_part(
        self, rows: NDArray[Any], labels: NDArray[np.int32], bounds: NDArray[np.int32], first: int
    ) -> tuple[float, float]:
        """Return what `validate_on` does for the whole batch; the arguments are those of `TrainingBatch`."""
        loss, correct = self._validate(rows, labels, bounds, first)
        return float(loss), float(correct)

    def _train_together(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one step with all replicas."""
        loss, correct, *gradients = self._summed(self._gradients, *batch)
        self._optimizers.apply(gradients)
        self._move_average(self._config.ema)
        return loss, correct

    def _validate_together(self, *batch: tf.Tensor) -> list[tf.Tensor]:
        return self._summed(self._losses, *batch)

    def _summed(self, function: Any, *batch: tf.Tensor) -> list[tf.Tensor]:
        """Return the results of the function, summed over all replicas."""

        def on_replica(*batch: tf.Tensor) -> Any:
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, function(*batch))

        results = self._strategy.run(on_replica, args=batch)
        return [self._strategy.experimental_local_results(result)[0] for result in results]

    def _gradients(
        self,
        rows: tf.Tensor,
        labels: tf.Tensor,
        weights: tf.Tensor,
        bounds: tf.Tensor,
        first: tf.Tensor,
        seed: tf.Tensor,
        share: tf.Tensor,
    ) -> list[tf.Tensor]:
        """Return the sum of this replica's losses, how many images are correct, and the gradients of the mean loss."""
        own, count = _own_part(bounds)
        rows, labels, weights = (
            each[own.start - first : own.stop - first + self.mixes] for each in (rows, labels, weights)
        )
        x, right = self._input(rows), labels[int(self.mixes) :]
        targets = smoothed_targets(labels, self._plan.network.num_classes, self._config.label_smoothing)
        if self.mixes:
            x, targets, weights = mixed(share, x, targets, weights)
        part = BatchPart(own.start, count, bounds[-1])
        with tf.GradientTape() as tape:
            logits = forward(
                self._layers, self._weights, x, seed=seed, part=part, trained=self._plan.trained, many=True
            )
            losses = weighted_losses(logits, targets, weights)[:count]
            loss = tf.reduce_sum(losses) / tf.cast(bounds[-1], tf.float32)
        gradients = tape.gradient(loss, [self._variables[name] for name in self._optimizers.names])
        return [tf.reduce_sum(losses), count_correct(logits[:count], right[:count]), *gradients]

    def _losses(self, rows: tf.Tensor, labels: tf.Tensor, bounds: tf.Tensor, first: tf.Tensor) -> list[tf.Tensor]:
        """Return the sum of this replica's losses, and how many images are correct, by the average if there is one."""
        own, count = _own_part(bounds)
        rows, labels = (each[own.start - first : own.stop - first] for each in (rows, labels))
        logits = forward(self._layers, {**self._weights, **self._average}, self._input(rows), many=True)
        losses = validation_losses(logits, labels)[:count]
        return [tf.reduce_sum(losses), count_correct(logits[:count], labels[:count])]

    def _input(self, rows: tf.Tensor) -> tf.Tensor:
        """Return the input of the first layer: rows that are pixels are normalized."""
        return normalize(self._plan.network.preprocessing, rows) if self._from_pixels else rows

    def _move_average(self, decay: float) -> None:
        """Move the average by 1 - decay of the way, further while it is young (tf.train.ExponentialMovingAverage)."""
        if not self._average:
            return
        self._steps.assign_add(1)
        steps = tf.cast(self._steps, tf.float32)
        keep = tf.minimum(decay, (1 + steps) / (10 + steps))
        for name, average in self._average.items():
            average.assign(keep * average + (1 - keep) * self._variables[name])

    def set_rate(self, rate: float) -> None:
        """Set the learning rate."""
        self._optimizers.set_rate(rate)

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


def row_type(plan: Plan) -> type[np.generic]:
    """Return the dtype of the rows that a plan's trained layers read: pixels or features."""
    trunk, _ = plan.network.split(plan.trained)
    return np.float32 if trunk else np.uint8


def _variable(name: str, value: NDArray[np.float32]) -> tf.Variable:
    """Return a variable; batch norm's statistics, which all replicas compute alike, are those of the first."""
    if name.endswith(STATISTICS):
        return tf.Variable(value, aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
    return tf.Variable(value)


def _own_part(bounds: tf.Tensor) -> tuple[slice, tf.Tensor]:
    """Return the places of the images in a batch that this replica reads, and how many of them, from the first, count.

    It reads one where its part is empty, since TensorFlow computes no batch without an image.
    """
    replica = tf.distribute.get_replica_context().replica_id_in_sync_group
    start, stop = bounds[replica], bounds[replica + 1]
    return slice(start, tf.maximum(stop, start + 1)), stop - start


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
