"""Conversion: every number keeps its value, in every format and type."""

from itertools import pairwise
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.errors import UsageError, WeightsError
from finetune.formats.npy_file import write_npy
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.formats.weights_file import WeightsFile
from finetune.model import load_model
from finetune.networks import build
from finetune.pretrained.convert import convert
from finetune.pretrained.infer import network_of
from finetune.pretrained.load import load_weights


def random_weights(network: str, dtype: str = "float32") -> dict[str, NDArray[np.floating]]:
    """Return weights with every bit pattern a number can have, subnormal and negative zero included."""
    generator = np.random.default_rng(0)
    shapes = build(network, {"num_classes": 3, "fc_units": 8, "input_size": 67}).weight_shapes()
    tensors = {name: generator.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    tensors["conv1/bias"][:3] = (-0.0, 1e-45, np.finfo(np.float16).tiny)
    return tensors


def same_bits(file: WeightsFile, tensors: dict[str, NDArray[np.floating]]) -> bool:
    return list(file.tensors) == list(tensors) and all(
        file.tensors[name].dtype == tensor.dtype
        and file.tensors[name].shape == tensor.shape
        and np.ascontiguousarray(file.tensors[name]).tobytes() == tensor.tobytes()
        for name, tensor in tensors.items()
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("network", ["alexnet", "alexnet-bn"])
def test_round_trip_bit_for_bit(tmp_path: Path, network: str, dtype: str) -> None:
    tensors = random_weights(network, dtype)
    write_npy(tmp_path / "a.npy", tensors)
    chain = ["a.npy", "b.safetensors", "c.npz", "d.npy", "e.npz", "f.safetensors", "g.npy"]
    for source, target in pairwise(chain):
        convert(tmp_path / source, tmp_path / target)
        assert same_bits(read_weights(tmp_path / target), tensors), target
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "g.npy").read_bytes()


def test_bfloat16_becomes_float32_without_loss(tmp_path: Path) -> None:
    tensors = random_weights("alexnet")
    halves = {name: tensor.astype(ml_dtypes.bfloat16) for name, tensor in tensors.items()}
    write_safetensors(tmp_path / "a.safetensors", halves)
    convert(tmp_path / "a.safetensors", tmp_path / "b.npz")
    assert same_bits(read_weights(tmp_path / "b.npz"), {n: t.astype(np.float32) for n, t in halves.items()})


@pytest.mark.parametrize("ending", [".npy", ".npz", ".safetensors"])
def test_rows_in_caffes_order_are_reordered(shared: Path, tmp_path: Path, ending: str) -> None:
    """The converted file and Caffe's load the same weights, the rows of fc6 included."""
    original = read_weights(shared / "oracle/alexnet_small.caffemodel")
    target = tmp_path / f"small{ending}"
    convert(original.path, target)
    network = network_of(original)
    expected = load_weights(network, original)
    found = load_weights(network_of(read_weights(target), "alexnet"), read_weights(target))
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_safetensors_describes_itself(shared: Path, tmp_path: Path) -> None:
    convert(shared / "oracle/alexnet_small.caffemodel", tmp_path / "a.safetensors")
    assert load_model(tmp_path / "a.safetensors").network.name == "alexnet", "Caffe's file states its network"
    convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    write_npy(tmp_path / "c.npy", random_weights("alexnet"))
    convert(tmp_path / "c.npy", tmp_path / "c.safetensors")
    assert read_weights(tmp_path / "c.safetensors").metadata == {}, "AlexNet or CaffeNet: it cannot be known"


def test_class_names_and_preprocessing_stay(tiny_weights: Path, tmp_path: Path) -> None:
    convert(tiny_weights, tmp_path / "copy.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == tiny_weights.read_bytes()


def test_a_channel_first_file_of_an_unknown_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = WeightsFile(tmp_path / "x.onnx", "onnx", {"fc6/kernel": np.zeros((8, 2))}, channel_first=True)
    monkeypatch.setattr("finetune.pretrained.convert.read_weights", lambda _: file)
    with pytest.raises(
        WeightsError,
        match=r"x\.onnx: the rows of its first fully connected layer are ordered channel, height, width, and cannot be",
    ):
        convert(file.path, tmp_path / "y.npy")
    assert list(tmp_path.iterdir()) == []


def test_target_is_never_overwritten_unasked(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine.npy"
    target.write_bytes(b"precious")
    with pytest.raises(WeightsError, match=r"mine\.npy exists; choose another name, or --overwrite"):
        convert(tiny_weights, target)
    assert target.read_bytes() == b"precious"
    convert(tiny_weights, target, overwrite=True)
    assert read_weights(target).format == "npy"


def test_converting_a_file_onto_itself(tmp_path: Path) -> None:
    tensors = random_weights("alexnet")
    write_npy(tmp_path / "a.npy", tensors)
    convert(tmp_path / "a.npy", tmp_path / "a.npy", overwrite=True)
    assert same_bits(read_weights(tmp_path / "a.npy"), tensors)


def test_failures_leave_nothing(tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"new\.h5: cannot be written; expected a name that ends in \.npy, \.npz or \.safe"
    ):
        convert(tiny_weights, tmp_path / "new.h5")
    with pytest.raises(WeightsError, match="cannot be read"):
        convert(tmp_path / "gone.npy", tmp_path / "new.npz")
    with pytest.raises(WeightsError, match=r"new\.npz: cannot be written \(No such file or directory\); check"):
        convert(tiny_weights, tmp_path / "no folder/new.npz")
    assert list(tmp_path.iterdir()) == []
