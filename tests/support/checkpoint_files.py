"""Checkpoints as programs for TensorFlow 1 wrote them: variables and what the optimizers keep of them."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

PROGRAM = {"kernel": "weights", "bias": "biases"}  # this package's names and those of the programs


def variables(weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return conv1/kernel as conv1/weights."""
    named = (name.rpartition("/") for name in weights)
    return {f"{layer}/{PROGRAM[kind]}": weights[f"{layer}/{kind}"] for layer, _, kind in named}


def save_checkpoint_of_tf1(prefix: Path, values: Mapping[str, NDArray[Any]], *, average: bool = False) -> Path:
    """Write the values with tf.train.Saver, as after a step of momentum and Adam at rate 0; return the .index."""
    import tensorflow as tf

    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [v1.get_variable(name, initializer=value, use_resource=False) for name, value in values.items()]
        loss = tf.add_n([tf.reduce_sum(tf.square(each)) for each in made if each.dtype.base_dtype.is_floating])
        step = v1.train.get_or_create_global_step()
        v1.train.MomentumOptimizer(0.0, 0.9).minimize(loss, step)
        v1.train.AdamOptimizer(0.0).minimize(loss)
        if average:
            v1.train.ExponentialMovingAverage(0.9).apply(made[:1])
        session.run(v1.variables_initializer(made))  # first, since an average starts from them
        session.run(v1.global_variables_initializer())
        saved = v1.train.Saver().save(session, str(prefix))
    assert saved == str(prefix)
    return prefix.with_name(f"{prefix.name}.index")
