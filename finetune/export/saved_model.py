"""SavedModel: from the bytes of image files to labels and probabilities, all that TensorFlow Serving needs."""

import os
from collections.abc import Sequence
from errno import EDQUOT, ENOSPC
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from finetune.export.graph import probabilities
from finetune.export.tf_decode import decode
from finetune.export.tf_resize import to_input
from finetune.model import Model


def write(path: Path, model: Model) -> None:
    """Write a SavedModel folder with the signature `serving_default`.

    Input: `image_bytes` (batch,), encoded images. Output: `label` (batch,), the most probable class; `class_names` and
    `probabilities` (batch, classes), in the order of the classes.
    """
    preprocessing = model.network.preprocessing
    module = tf.Module()
    module.weights = {name: tf.Variable(value, trainable=False) for name, value in model.weights.items()}
    class_names = tf.constant(model.class_names)

    def read(data: tf.Tensor) -> tf.Tensor:
        return to_input(decode(data, preprocessing.short_side), preprocessing)

    def classify(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        side, channels = preprocessing.size, preprocessing.channels
        square = tf.TensorSpec((side, side, channels), tf.uint8)
        rgb = tf.map_fn(read, image_bytes, fn_output_signature=square)
        by_class = probabilities(model, module.weights, rgb)
        return {
            "label": tf.gather(class_names, tf.argmax(by_class, axis=1)),
            "class_names": tf.broadcast_to(class_names, tf.shape(by_class)),
            "probabilities": by_class,
        }

    signature = [tf.TensorSpec((None,), tf.string, name="image_bytes")]
    module.classify = tf.function(classify, input_signature=signature, autograph=False)
    try:
        tf.saved_model.save(module, str(path), signatures={"serving_default": module.classify})
    except tf.errors.ResourceExhaustedError as error:  # raised for a full disk too, not only for memory
        for code in (ENOSPC, EDQUOT):
            if os.strerror(code) in error.message:
                raise OSError(code, os.strerror(code)) from None
        raise


def predict(path: Path, files: Sequence[bytes]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that TensorFlow computes with the folder for encoded images."""
    loaded = tf.saved_model.load(str(path))
    outputs = loaded.signatures["serving_default"](image_bytes=tf.constant(list(files)))
    return outputs["probabilities"].numpy()
