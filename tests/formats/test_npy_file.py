"""The pickled dictionaries in .npy files, as Python 2 and 3 and this package write them."""

import io
import pickle
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from support.weights_bytes import (
    large_tensors,
    npy,
    peak_of_reading,
    python2_array,
    python2_layers,
    python2_npy,
    python2_string,
)

from finetune.errors import WeightsError
from finetune.formats.npy_file import read_npy, write_npy
from finetune.formats.read_weights import read_weights

RNG = np.random.default_rng(0)
TENSORS = {
    "conv1/kernel": RNG.standard_normal((3, 3, 2, 4), np.float32),
    "conv1/bias": RNG.standard_normal(4, np.float32),
    "fc8/kernel": RNG.standard_normal((300, 5), np.float32),
    "fc8/bias": RNG.standard_normal(5, np.float32),
}
PAIRS = {name: [TENSORS[f"{name}/kernel"], TENSORS[f"{name}/bias"]] for name in ("conv1", "fc8")}


def saved(value: Any, protocol: int) -> bytes:
    return npy(pickle.dumps(np.array(value, dtype=object), protocol))


def equal(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "layers",
    [
        PAIRS,
        {name: tuple(pair) for name, pair in PAIRS.items()},
        {name.encode(): pair for name, pair in PAIRS.items()},
        {name: {"weights": pair[0], "biases": pair[1]} for name, pair in PAIRS.items()},
        {name: {b"weights": pair[0], b"biases": pair[1]} for name, pair in PAIRS.items()},
        {name: {"W": pair[0], "b": pair[1]} for name, pair in PAIRS.items()},
    ],
    ids=["lists", "tuples", "keys in bytes", "weights and biases", "the same in bytes", "W and b"],
)
def test_every_form_of_the_dictionary_reads_the_same(layers: Any, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "weights.npy"
    path.write_bytes(saved(layers, protocol))
    file = read_weights(path)
    equal(file.tensors, TENSORS)
    assert (file.format, file.channel_first, file.network, file.metadata) == ("npy", False, None, {})


def test_pickles_from_before_numpy_2_read(tmp_path: Path) -> None:
    path = tmp_path / "numpy1.npy"
    data = saved(PAIRS, 2)
    assert b"numpy._core" in data
    path.write_bytes(data.replace(b"numpy._core", b"numpy.core"))
    equal(read_npy(path).tensors, TENSORS)


def test_what_python_2_wrote_reads(tmp_path: Path) -> None:
    path = tmp_path / "bvlc_alexnet.npy"
    path.write_bytes(python2_npy(python2_layers(TENSORS)))
    equal(read_npy(path).tensors, TENSORS)
    by_python = np.load(path, allow_pickle=True, encoding="bytes").item()  # Python itself reads the hand-made file
    np.testing.assert_array_equal(by_python[b"fc8"][0], TENSORS["fc8/kernel"])


def test_fortran_order_byte_order_and_other_floats_read(tmp_path: Path) -> None:
    kernel = TENSORS["fc8/kernel"]
    path = tmp_path / "orders.npy"
    path.write_bytes(saved({"a": [np.asfortranarray(kernel), kernel[0].astype(">f4")], "b": [kernel.astype("f8")]}, 4))
    tensors = read_npy(path).tensors
    np.testing.assert_array_equal(tensors["a/kernel"], kernel)
    np.testing.assert_array_equal(tensors["a/bias"], kernel[0])
    np.testing.assert_array_equal(tensors["b/kernel"], kernel.astype("f8"), strict=True)


def test_scalars_and_batch_norm_read(tmp_path: Path) -> None:
    path = tmp_path / "bn.npy"
    statistics = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), TENSORS["fc8/bias"])
    path.write_bytes(saved({"bn1": statistics, "scale": [np.float32(2.5)]}, 4))
    tensors = read_npy(path).tensors
    assert list(tensors) == [*(f"bn1/{name}" for name in statistics), "scale/kernel"]
    assert tensors["scale/kernel"].shape == ()
    assert tensors["scale/kernel"] == 2.5


def test_long_arrays_in_python_3s_protocol_2_read(tmp_path: Path) -> None:
    kernel = RNG.random((1 << 11, 1 << 11), np.float32)  # 25 MB as text: more than one piece
    path = tmp_path / "protocol2.npy"
    path.write_bytes(saved({"fc8": [kernel]}, 2))
    equal(read_npy(path).tensors, {"fc8/kernel": kernel})


def test_an_array_that_stands_for_two_layers_reads_twice(tmp_path: Path) -> None:
    path = tmp_path / "shared.npy"
    kernel = TENSORS["fc8/kernel"]
    path.write_bytes(saved({"a": [kernel], "b": [kernel]}, 4))
    equal(read_npy(path).tensors, {"a/kernel": kernel, "b/kernel": kernel})


def test_tensors_are_read_only_views(tmp_path: Path) -> None:
    path = tmp_path / "views.npy"
    write_npy(path, TENSORS)
    kernel = read_npy(path).tensors["fc8/kernel"]
    assert not kernel.flags.writeable
    assert not kernel.flags.owndata


def test_write_is_read_by_numpy_and_by_us(tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    transposed = {"fc9/kernel": TENSORS["fc8/kernel"].T, "fc9/bias": np.zeros(300, ">f4")}
    statistics = {"bn1/gamma": TENSORS["conv1/bias"], "bn1/beta": TENSORS["conv1/bias"].astype(np.float16)}
    tensors = TENSORS | statistics | transposed
    write_npy(path, tensors)
    by_numpy = np.load(path, allow_pickle=True).item()
    assert list(by_numpy) == ["conv1", "fc8", "bn1", "fc9"]
    for layer in ("conv1", "fc8", "fc9"):
        np.testing.assert_array_equal(by_numpy[layer][0], tensors[f"{layer}/kernel"])
        np.testing.assert_array_equal(by_numpy[layer][1], tensors[f"{layer}/bias"])
    np.testing.assert_array_equal(by_numpy["bn1"]["beta"], statistics["bn1/beta"], strict=True)
    equal(read_npy(path).tensors, tensors | {"fc9/bias": np.zeros(300, "<f4")})


def test_write_turns_bfloat16_into_float32_and_refuses_integers(tmp_path: Path) -> None:
    path = tmp_path / "out.npy"
    numbers = np.array([1.5, -3.0])
    write_npy(path, {"fc8/bias": numbers.astype(ml_dtypes.bfloat16)})
    equal(read_npy(path).tensors, {"fc8/bias": numbers.astype(np.float32)})
    with pytest.raises(WeightsError, match=r"^out.npy: fc8/bias is int64; expected float16, float32 or float64$"):
        write_npy(path, {"fc8/bias": np.arange(3)})


def test_equal_tensors_give_equal_files(tmp_path: Path) -> None:
    write_npy(tmp_path / "a.npy", TENSORS)
    write_npy(tmp_path / "b.npy", {name: tensor.copy() for name, tensor in TENSORS.items()})
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_header_of_format_2_and_python_2_integers_read(tmp_path: Path) -> None:
    pickled = saved(PAIRS, 4)[len(npy(b"")) :]
    file = io.BytesIO()
    np.lib.format.write_array_header_2_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    path = tmp_path / "two.npy"
    path.write_bytes(file.getvalue() + pickled)
    equal(read_npy(path).tensors, TENSORS)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured through Linux' /proc")
@pytest.mark.parametrize("form", ["python 2", "np.save"])
def test_reading_peaks_at_the_size_of_the_file(form: str, tmp_path: Path) -> None:
    tensors, path = large_tensors(), tmp_path / "large.npy"
    if form == "python 2":
        path.write_bytes(python2_npy(python2_layers(tensors)))
    else:
        layers = {name: [tensors[f"{name}/kernel"], tensors[f"{name}/bias"]] for name in ("fc6", "fc7", "fc8")}
        np.save(path, np.array(layers, dtype=object))
    assert 0.9 < peak_of_reading(path, "npy_file", "read_npy") < 1.15


def test_a_layer_with_a_kernel_alone_reads(tmp_path: Path) -> None:
    path = tmp_path / "kernel.npy"
    array = python2_array((2, 1), python2_string(np.float32([1, 2]).tobytes()))
    path.write_bytes(python2_npy(b"}(U\x03fc8](" + array + b"eu"))
    equal(read_npy(path).tensors, {"fc8/kernel": np.float32([[1], [2]])})
