"""The .tflite file, run by LiteRT."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.exports import assert_same

from finetune.export.export import export

interpreter = pytest.importorskip("ai_edge_litert.interpreter")
pytestmark = pytest.mark.tensorflow


def test_probabilities(weights: Path, tmp_path: Path, pixels: NDArray[np.uint8], expected: NDArray[np.float64]) -> None:
    export(str(weights), "litert", tmp_path / "out")
    runtime = interpreter.Interpreter(str(tmp_path / "out/model.tflite"))
    (given,), (answer,) = runtime.get_input_details(), runtime.get_output_details()
    runtime.allocate_tensors()
    for image, row in zip(pixels, expected, strict=True):  # one image at a time, the size of the file's input
        runtime.set_tensor(given["index"], image[None])
        runtime.invoke()
        assert_same(runtime.get_tensor(answer["index"])[0], row)
    from finetune.export import litert

    assert_same(litert.predict(tmp_path / "out/model.tflite", pixels), expected)
