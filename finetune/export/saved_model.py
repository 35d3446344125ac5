"""SavedModel: from the bytes of pictures to names and probabilities, so that TensorFlow Serving needs nothing else."""

import os
from collections.abc import Sequence
from errno import EDQUOT, ENOSPC
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.export import tf_decode as picture
from finetune.export.graph import probabilities
from finetune.export.tf_resize import to_input
from finetune.model import Model


def write(path: Path, model: Model, temperature: float) -> None:
    """Write a SavedModel folder with the signature `serving_default`.

    In: `image_bytes` (batch,), encoded pictures. Out: `label` (batch,), the most probable class; `class_names` and
    `probabilities` (batch, classes), in the order of the classes.
    """
    preprocessing = model.network.preprocessing
    module = tf.Module()
    module.weights = {name: tf.Variable(value, trainable=False) for name, value in model.weights.items()}
    class_names = tf.constant(model.class_names)

    def read(data: tf.Tensor) -> tf.Tensor:
        return to_input(picture.decode(data, preprocessing.short_side), preprocessing)

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        side, channels = preprocessing.size, preprocessing.channels
        square = tf.TensorSpec((side, side, channels), tf.uint8)
        rgb = tf.map_fn(read, image_bytes, fn_output_signature=square)
        shares = probabilities(model, temperature, module.weights, rgb)
        return {
            "label": tf.gather(class_names, tf.argmax(shares, axis=1)),
            "class_names": tf.broadcast_to(class_names, tf.shape(shares)),
            "probabilities": shares,
        }

    signature = [tf.TensorSpec((None,), tf.string, name="image_bytes")]
    module.classify = tf.function(classify, input_signature=signature, autograph=False)
    try:
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.classify})
    except tf.errors.ResourceExhaustedError as error:  # also of a disk, and then it is no lack of memory
        for code in (ENOSPC, EDQUOT):
            if os.strerror(code) in error.message:
                raise OSError(code, os.strerror(code)) from None
        raise


def answers(path: Path, pictures: Sequence[bytes]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that TensorFlow gets from the folder."""
    loaded = tf.saved_model.load(str(path))
    shares = loaded.signatures["serving_default"](image_bytes=tf.constant(list(pictures)))["probabilities"]
    return shares.numpy()
