"""How weights are updated: the learning rate over time and by layer, the optimizers, weight decay, class weights."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.choices import Optimizer, Schedule
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import STATISTICS
from finetune.training.solver import Solver

MOMENTUM = 0.9  # Krizhevsky et al. 2012, section 5


def scheduled_rate(start: float, done: float, total: int, schedule: Schedule = "cosine", warmup: int = 0) -> float:
    """Return the learning rate after `done` of `total` epochs.

    It rises in equal steps to `start` over the first `warmup` epochs (Goyal et al. 2017) and then stays (constant),
    is divided by 10 after each third (step), or falls along half a cosine to 0 (Loshchilov and Hutter 2017).
    """
    if done < warmup:
        return start * (done + 1) / (warmup + 1)
    share = (done - warmup) / (total - warmup)
    match schedule:
        case "constant":
            return start
        case "step":
            return start / 10 ** int(3 * share)
        case _:
            return start * (1 + math.cos(math.pi * share)) / 2


class Optimizers:
    """One optimizer for every factor on the learning rate, over its variables."""

    def __init__(
        self,
        kind: Optimizer,
        variables: Mapping[str, tf.Variable],
        factors: Mapping[str, float],
        decay: float,
        loaded: Collection[str] = (),
    ) -> None:
        """`variables`: `layer/weight` -> variable; the optimizer ignores batch norm's statistics.

        `factors`: layer -> factor, 1 where it has none. `decay` acts on kernels only: for SGD and Adam it is added to
        the gradient (Krizhevsky et al. 2012, section 5), for AdamW it is decoupled (Loshchilov and Hutter 2019).
        The gradient of a kernel of the `loaded` layers is clipped to the kernel's own norm, so that a step at rate r
        moves it by r of itself at most (Brock et al. 2021, section 4.1, with λ = 1): raw pixels of up to 150 make the
        first layer's gradient 10,000 times as large as that.
        """
        self.names = [name for name in variables if not name.endswith(STATISTICS)]
        self._variables = variables
        self._copies = tf.distribute.get_strategy().extended  # of each variable, one for every replica
        self._decoupled = kind == "adamw"
        self._loaded = frozenset(loaded)
        self._decay = decay

        factor = {name: factors.get(layer_of(name), 1.0) for name in self.names}
        self._groups: list[tuple[float, keras.optimizers.Optimizer, list[str]]] = []
        for value in sorted(set(factor.values())):
            members = [name for name in self.names if factor[name] == value]
            optimizer = _optimizer(kind)
            optimizer.build([variables[name] for name in members])
            self._groups.append((value, optimizer, members))

    def set_rate(self, rate: float) -> None:
        """Set the learning rate, times its factor for each group."""
        for factor, optimizer, _ in self._groups:
            optimizer.learning_rate.assign(rate * factor)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Update the variables by the gradients, which are in the order of `names`; not within a replica.

        `Optimizer.apply` of Keras works within a replica only, where it would sum the gradients over all of them again.
        """
        by_name = dict(zip(self.names, gradients, strict=True))
        for _, optimizer, names in self._groups:
            limited = {name: self._limited(name, by_name[name]) for name in names}
            for name in names:
                gradient = self._decayed(name, limited[name], optimizer.learning_rate)
                self._copies.update(self._variables[name], partial(_update, optimizer), args=(gradient,), group=False)
            optimizer.iterations.assign_add(1)

    def _limited(self, name: str, gradient: tf.Tensor) -> tf.Tensor:
        layer, weight = name.split("/")
        if weight != "kernel" or layer not in self._loaded:
            return gradient
        return gradient * tf.minimum(1.0, tf.math.divide_no_nan(tf.norm(self._variables[name]), tf.norm(gradient)))

    def _decayed(self, name: str, gradient: tf.Tensor, rate: Any) -> tf.Tensor:
        if not self._decay or not name.endswith("/kernel"):
            return gradient
        variable = self._variables[name]
        if self._decoupled:
            variable.assign_sub(tf.cast(rate, variable.dtype) * self._decay * variable)
            return gradient
        return gradient + self._decay * variable

    def values(self) -> tuple[NDArray[Any], ...]:
        """Return copies of all optimizers' variables, in their own order."""
        return tuple(variable.numpy() for variable in self._state())

    def restore(self, values: Iterable[NDArray[Any]]) -> None:
        """Set all optimizers' variables to what `values` returned."""
        for variable, value in zip(self._state(), values, strict=True):
            variable.assign(value)

    def _state(self) -> list[Any]:
        return [variable for _, optimizer, _ in self._groups for variable in optimizer.variables]


class SolverSgd:
    """The optimizer of a Caffe solver; its interface is that of Optimizers. Gradients are not clipped."""

    def __init__(self, solver: Solver, variables: Mapping[str, tf.Variable]) -> None:
        """`variables`: `layer/weight` -> variable."""
        self.names = list(variables)
        self._solver, self._variables = solver, variables
        self._velocities = {name: tf.Variable(tf.zeros_like(variable)) for name, variable in variables.items()}
        self._rate = tf.Variable(0.0)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate, without the factors of the weights."""
        self._rate.assign(rate)

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Update the variables by the gradients, which are in the order of `names`."""
        for name, gradient in zip(self.names, gradients, strict=True):
            rate, decay = self._rate * self._solver.rates[name], self._solver.decays[name]
            caffe_update(self._variables[name], self._velocities[name], gradient, rate, self._solver.momentum, decay)

    def values(self) -> tuple[NDArray[Any], ...]:
        """Return copies of the velocities, in the order of `names`."""
        return tuple(velocity.numpy() for velocity in self._velocities.values())

    def restore(self, values: Iterable[NDArray[Any]]) -> None:
        """Set the velocities to what `values` returned."""
        for velocity, value in zip(self._velocities.values(), values, strict=True):
            velocity.assign(value)


def caffe_update(
    weight: tf.Variable, velocity: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor, momentum: float, decay: float
) -> None:
    """Update a weight as Caffe's SGD: v ← momentum · v + rate · (gradient + decay · w), w ← w - v.

    http://caffe.berkeleyvision.org/tutorial/solver.html, section SGD: the rate is part of the velocity, so a lower rate
    does not slow down what is moving already; L2 weight decay is part of the gradient.
    """
    velocity.assign(momentum * velocity + rate * (gradient + decay * weight))
    weight.assign_sub(velocity)


def _update(optimizer: keras.optimizers.Optimizer, variable: tf.Variable, gradient: tf.Tensor) -> None:
    optimizer.update_step(gradient, variable, optimizer.learning_rate)


def _optimizer(kind: Optimizer) -> keras.optimizers.Optimizer:
    if kind in ("adam", "adamw"):
        return keras.optimizers.Adam()
    return keras.optimizers.SGD(momentum=MOMENTUM)


def class_weights(labels: NDArray[np.int32], num_classes: int) -> NDArray[np.float32]:
    """Return the weight of each image, float32 (images,), so that all classes count the same.

    It is images / (classes · images of its class) (King and Zeng 2001); the mean is 1 where every class has images.
    """
    counts = np.bincount(labels, minlength=num_classes)
    return (len(labels) / (num_classes * counts[labels])).astype(np.float32)
