"""The model of a web page: ONNX with smaller kernels, compressed."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetune.export import onnx
from finetune.export.web_page import compressed
from finetune.model import Model


def write(path: Path, model: Model, kernels: onnx.Kernels) -> None:
    """Write a compressed .onnx file, as `finetune.export.onnx` describes it."""
    path.write_bytes(compressed(onnx.serialize(model, kernels)))


def predict(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probabilities (batch, classes) that ONNX Runtime computes with the file."""
    return onnx.predict(gzip.decompress(path.read_bytes()), pixels)
