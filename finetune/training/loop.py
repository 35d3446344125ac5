"""The training loop: it sees only the head and what the trunk made of the images."""

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.config import TrainConfig
from finetune.errors import FinetuneError
from finetune.networks.forward import forward, normalize
from finetune.networks.layers import STATISTICS
from finetune.progress import track
from finetune.training.plan import SGD_LEARNING_RATE, Arrays, Plan
from finetune.training.store import Rows

logger = logging.getLogger(__name__)

MOMENTUM = 0.9  # Krizhevsky et al. 2012, section 5
EVALUATION_BATCH_SIZE = 256


class Labelled(NamedTuple):
    """Features with their labels: what one side of the split gives the loop.

    `rows` holds `views` rows for every label, one after the other: rows 0 to views - 1 are the first image's.
    """

    rows: NDArray[Any] | Rows
    labels: NDArray[np.int32]
    views: int = 1


class Epoch(NamedTuple):
    """One line of history.csv. Losses are mean cross-entropies in nats, accuracies fractions."""

    epoch: int
    learning_rate: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class State:
    """All that is known after an epoch: what training has found, and what it needs to go on from here.

    `weights` are those that training changes, as they are now; `best_weights` as they were in the `best` epoch, which
    has the highest validation accuracy and, among equals, the lowest loss. `optimizer` are its variables in order.
    """

    history: tuple[Epoch, ...]
    best: Epoch
    best_weights: Arrays
    weights: Arrays
    optimizer: tuple[NDArray[Any], ...]


def train_head(
    plan: Plan, config: TrainConfig, train: Callable[[int], Labelled], val: Labelled, state: State | None = None
) -> Iterator[State]:
    """Train the plan's head and yield the state after every epoch; go on from `state` if there is one.

    `train` gives the training side for the number of an epoch, from 1 on.
    Every batch and every dropout mask follows from the seed and the number of the epoch, so training that goes on
    from a state ends with the same bits as one that was never stopped. Raises FinetuneError when the loss is no longer
    a finite number.
    """
    tf.config.experimental.enable_op_determinism()  # same seed, same bits
    tf.random.set_seed(config.seed)  # what determinism asks for; nothing here draws from it
    head = Head(plan, config)
    start = config.learning_rate or SGD_LEARNING_RATE
    if state:
        head.restore(state)
    for number in range(len(state.history) + 1 if state else 1, config.epochs + 1):
        rate = head.set_rate(cosine(start, number - 1, config.epochs))
        epoch = Epoch(number, rate, *head.train_epoch(train(number), number), *head.evaluate(val))
        if not math.isfinite(epoch.train_loss + epoch.val_loss):
            raise FinetuneError(
                f"the loss became {epoch.train_loss} in epoch {number}: expected a finite number; "
                f"lower --learning-rate (now {start:g})"
            )
        weights = head.trained_weights()
        better = state is None or _rank(epoch) > _rank(state.best)
        best, best_weights = (epoch, weights) if better or state is None else (state.best, state.best_weights)
        history = (*(state.history if state else ()), epoch)
        state = State(history, best, best_weights, weights, head.optimizer_variables())
        yield state


def cosine(start: float, done: int, total: int) -> float:
    """Return the learning rate after `done` of `total` epochs: half a cosine from `start` to 0 (Loshchilov 2017)."""
    return start * (1 + math.cos(math.pi * done / total)) / 2


def _rank(epoch: Epoch) -> tuple[float, float]:
    return epoch.val_accuracy, -epoch.val_loss


class Head:
    """The layers from the first trained one on, as variables, with their optimizer."""

    def __init__(self, plan: Plan, config: TrainConfig) -> None:
        trunk, layers = plan.network.split(plan.trained)
        names = {layer.name for layer in layers}
        weights: dict[str, Any] = {}
        for name, value in plan.weights.items():
            layer = name.split("/")[0]
            if layer in names:
                weights[name] = tf.Variable(value) if layer in plan.trained else tf.constant(value)
        self._variables = {name: value for name, value in weights.items() if name.split("/")[0] in plan.trained}
        self._config = config
        self._optimizer = make_optimizer(config)
        trainable = [value for name, value in self._variables.items() if not name.endswith(STATISTICS)]
        self._optimizer.build(trainable)

        def logits(x: tf.Tensor, seed: tf.Tensor | None = None, trained: tuple[str, ...] = ()) -> tf.Tensor:
            # With no trunk the rows are pixels.
            x = x if trunk else normalize(plan.network.preprocessing, x)
            return forward(layers, weights, x, seed=seed, trained=trained, many=True)

        @tf.function(reduce_retracing=True)
        def step(x: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                output = logits(x, seed, plan.trained)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, output)
                loss = tf.reduce_mean(losses)
            self._optimizer.apply(tape.gradient(loss, trainable), trainable)
            return tf.reduce_sum(losses), _correct(output, labels)

        @tf.function(reduce_retracing=True)
        def measure(x: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            output = logits(x)
            return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, output)), _correct(
                output, labels
            )

        self._step, self._measure = step, measure

    def set_rate(self, rate: float) -> float:
        """Set the learning rate and return it."""
        self._optimizer.learning_rate.assign(rate)
        return rate

    def train_epoch(self, data: Labelled, number: int) -> tuple[float, float]:
        """Pass once over `data`, one view of each image; return mean loss and accuracy on the way.

        Seed and epoch decide the order and the views.
        """
        generator = np.random.default_rng([self._config.seed, number])
        rows = np.arange(len(data.labels)) * data.views + generator.integers(data.views, size=len(data.labels))
        indices = list(_slices(generator.permutation(len(data.labels)), self._config.batch_size))
        seeds = generator.integers(2**62, size=len(indices))  # of the dropout masks
        results = [
            self._step(data.rows[rows[index]], data.labels[index], tf.constant(seed))
            for index, seed in zip(track(indices, len(indices), f"epoch {number}", "batches"), seeds, strict=True)
        ]
        return _means(results, len(data.labels))

    def evaluate(self, data: Labelled) -> tuple[float, float]:
        """Return mean loss and accuracy over `data`, without dropout; every image counts the same."""
        indices = _slices(np.arange(len(data.labels)), EVALUATION_BATCH_SIZE)
        return _means([self._measure(data.rows[index], data.labels[index]) for index in indices], len(data.labels))

    def trained_weights(self) -> Arrays:
        """Return copies of the weights that training changes."""
        return {name: variable.numpy() for name, variable in self._variables.items()}

    def optimizer_variables(self) -> tuple[NDArray[Any], ...]:
        """Return copies of the optimizer's variables, in its own order."""
        return tuple(variable.numpy() for variable in self._optimizer.variables)

    def restore(self, state: State) -> None:
        """Set weights and optimizer to what they were after an epoch."""
        for name, variable in self._variables.items():
            variable.assign(state.weights[name])
        for variable, value in zip(self._optimizer.variables, state.optimizer, strict=True):
            variable.assign(value)


def head_logits(plan: Plan, weights: Arrays, data: Labelled) -> NDArray[np.float32]:
    """Return the logits (images, classes) of the head for `data` with the weights of one epoch, without dropout."""
    trunk, layers = plan.network.split(plan.trained)
    names = {layer.name for layer in layers}
    values = {
        name: tf.constant(value) for name, value in {**plan.weights, **weights}.items() if name.split("/")[0] in names
    }

    @tf.function(reduce_retracing=True)
    def compute(x: tf.Tensor) -> tf.Tensor:
        return forward(layers, values, x if trunk else normalize(plan.network.preprocessing, x))

    indices = _slices(np.arange(len(data.labels)), EVALUATION_BATCH_SIZE)
    return np.concatenate([compute(data.rows[index]).numpy() for index in indices])


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Return the optimizer that the options name, SGD unless told; its rate is set before every epoch."""
    match config.optimizer:
        case "adam":
            return keras.optimizers.Adam()
        case "adamw":
            return keras.optimizers.AdamW()
        case _:
            return keras.optimizers.SGD(momentum=MOMENTUM)


def _correct(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32))


def _slices(order: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    return (order[start : start + size] for start in range(0, len(order), size))


def _means(results: list[tuple[tf.Tensor, tf.Tensor]], count: int) -> tuple[float, float]:
    losses, correct = zip(*results, strict=True)
    return sum(float(loss) for loss in losses) / count, sum(float(c) for c in correct) / count
