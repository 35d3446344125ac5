"""LiteRT, formerly TensorFlow Lite: for phones and small devices, in float32 or 8 bits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from finetune.data.channels import Image
from finetune.export.graph import probabilities
from finetune.model import Model


def write(path: Path, model: Model, calibration: NDArray[np.uint8] | None = None) -> None:
    """Write a .tflite file: from pixels (batch, size, size, channels) uint8, RGB or gray, to float32 probabilities.

    With `calibration`, an array of such pixels, weights and activations become int8, with the ranges that these images
    have; only local response normalisation stays in float32, since squares do not fit into 8 bits.
    """
    module = tf.Module()
    # Variables, because with constants the converter takes five times as long and four times the memory.
    module.weights = {name: tf.Variable(value, trainable=False) for name, value in model.weights.items()}
    module.compute = tf.function(
        lambda pixels: probabilities(model, module.weights, pixels),
        input_signature=[tf.TensorSpec((None, *model.network.input_shape), tf.uint8, name="pixels")],
        autograph=False,
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.compute.get_concrete_function()], module)
    if calibration is not None:

        def batches() -> Iterator[list[Image]]:
            return ([image[None]] for image in calibration)

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = batches
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    path.write_bytes(converter.convert())


def predict(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that LiteRT computes with the file."""
    interpreter = Interpreter(model_path=str(path))
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
