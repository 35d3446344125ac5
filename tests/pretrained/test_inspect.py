"""The facts that `weights inspect` shows."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.npy_file import write_npy
from finetune.formats.safetensors_file import write_safetensors
from finetune.pretrained.inspect import TensorFacts, inspect_weights


def test_facts_worked_out_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    kernel = np.array([[-1.5, 0.0, 2.0], [4.0, 0.5, 1.0]], np.float32)
    write_npy(path, {"fc6/kernel": kernel, "fc6/bias": np.array([0.25, -0.25, 3], np.float16)})
    facts = inspect_weights(path)
    assert facts.tensors == (
        TensorFacts("fc6/kernel", (2, 3), "float32", -1.5, 4.0, 1.0),
        TensorFacts("fc6/bias", (3,), "float16", -0.25, 3.0, 1.0),
    )
    assert (facts.path, facts.format, facts.bytes) == (str(path), "npy", path.stat().st_size)
    assert facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (facts.layers, facts.networks) == (("fc6",), ())
    assert json.loads(json.dumps(facts.to_json()))["tensors"][1] == {
        "name": "fc6/bias",
        "shape": [3],
        "dtype": "float16",
        "min": -0.25,
        "max": 3.0,
        "mean": 1.0,
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(tmp_path: Path, value: float) -> None:
    path = tmp_path / "x.safetensors"
    for numbers in ([1, value], [1, value, -value]):
        write_safetensors(path, {"fc6/bias": np.array(numbers, np.float32)})
        (facts,) = inspect_weights(path).tensors
        assert facts == TensorFacts("fc6/bias", (len(numbers),), "float32", None, None, None)


def test_the_mean_is_computed_in_double_precision(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"fc6/bias": np.array([1e8, 1, -1e8], np.float32)})
    assert inspect_weights(path).tensors[0].mean == 1 / 3


def test_networks_that_fit(tiny_weights: Path, shared: Path) -> None:
    assert inspect_weights(tiny_weights).networks == ("alexnet",)
    facts = inspect_weights(shared / "oracle/alexnet_small.caffemodel")
    assert facts.layers == ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
    assert "alexnet" in facts.networks


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.npy: cannot be read \(No such file or directory\)"):
        inspect_weights(tmp_path / "gone.npy")
