"""Arrays of objects and structures in .npy and .npz files, as np.save itself writes them; all hold the same tensors."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.weights_bytes import npy

from finetune.errors import WeightsError
from finetune.formats.read_weights import read_weights

RNG = np.random.default_rng(0)
TENSORS = {
    "conv1/kernel": RNG.standard_normal((3, 3, 3, 2), np.float32),
    "conv1/bias": RNG.standard_normal(2, np.float32),
    "fc6/kernel": RNG.standard_normal((8, 2), np.float32),
    "fc6/bias": RNG.standard_normal(2, np.float32),
}
PAIRS = {layer: [TENSORS[f"{layer}/kernel"], TENSORS[f"{layer}/bias"]] for layer in ("conv1", "fc6")}


def objects(*items: Any) -> Any:
    """Return an array of objects; np.array would look into the items."""
    array = np.empty(len(items), object)
    for place, item in enumerate(items):
        array[place] = item
    return array


def single(value: Any) -> Any:
    """Return what np.save makes of a value that is not an array."""
    array = np.empty((), object)
    array[()] = value
    return array


def structure(shape: tuple[int, ...]) -> Any:
    """Return one structure of structures of tensors, which np.save writes without a pickle."""
    fields = [
        (layer, [("weights", "<f4", kernel.shape), ("biases", "<f4", bias.shape)])
        for layer, (kernel, bias) in PAIRS.items()
    ]
    array = np.zeros(shape, fields)
    for layer, (kernel, bias) in PAIRS.items():
        array[layer]["weights"], array[layer]["biases"] = kernel, bias
    return array


NAMES = {"kernel": "weights", "bias": "biases"}
VARIABLES = {f"{name.split('/')[0]}/{NAMES[name.split('/')[1]]}:0": tensor for name, tensor in TENSORS.items()}
CONTAINERS = {
    "dictionary": single(PAIRS),
    "OrderedDict": single(OrderedDict(PAIRS)),
    "TensorFlow's names": single(VARIABLES),
    "arrays of objects": single({layer: objects(*pair) for layer, pair in PAIRS.items()}),
    "dictionaries in dictionaries": single({"net": {"model": {n: {"W": k, "b": b} for n, (k, b) in PAIRS.items()}}}),
    "list of names and pairs": single(list(PAIRS.items())),
    "list of names and tensors": single(list(VARIABLES.items())),
    "array of rows": np.array([objects(*item) for item in PAIRS.items()]),
    "array of tuples": objects(*PAIRS.items()),
    "triples": objects(*((layer, *pair) for layer, pair in PAIRS.items())),
    "records": np.array([(n, *pair) for n, pair in PAIRS.items()], [("name", "U9"), ("W", object), ("b", object)]),
    "record of objects": np.array([tuple(PAIRS.values())], [(layer, object) for layer in PAIRS]),
    "structure": structure(()),
    "structure in an array": structure((1,)),
    "another order of axes": single(
        {n: [k.transpose((3, 2, 0, 1) if k.ndim == 4 else (1, 0)), b] for n, (k, b) in PAIRS.items()}
    ),
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_every_container_reads_the_same(container: Any, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{ending}"
    if ending == ".npy":
        np.save(path, container)
    else:
        np.savez(path, container)
    file = read_weights(path)
    assert list(file.tensors) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(file.tensors[name], tensor, strict=True)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("extra", [{}, np.int64(100), 100, 0.5, "text", None, RNG.random(3), np.zeros((227, 227, 3))])
def test_an_extra_entry_is_a_warning(ending: str, extra: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / f"weights{ending}"
    if ending == ".npy":
        np.save(path, single({**PAIRS, "extra": extra}))
    else:
        np.savez(path, **TENSORS, extra=single(extra))
    assert list(read_weights(path).tensors) == list(TENSORS)
    assert caplog.messages == [f"{path.name}: entries that are not weights of layers, and not used: extra"]


def test_members_that_are_no_weights_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.savez(tmp_path / "a.npz", **TENSORS, mean=RNG.random(3), global_step=np.int64(7))
    assert list(read_weights(tmp_path / "a.npz").tensors) == list(TENSORS)
    assert caplog.messages == ["a.npz: entries that are not weights of layers, and not used: mean, global_step"]


@pytest.mark.parametrize(
    ("shape", "data", "message"),
    [
        ((2,), bytes(32), "expected one structure whose fields are tensors, but its 32 bytes are 2 of 16; .+"),
        ((), bytes(8), "expected one structure .+, but its 8 bytes are 1 of 16; .+"),
        ((10**12,), bytes(16), "expected one structure .+, but its 16 bytes are 1,000,000,000,000 of 16; .+"),
    ],
)
def test_structures_that_are_not_one(shape: tuple[int, ...], data: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(data, [("W", "<f4", (2, 2))], shape))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=rf"^a\.npy: {message}$"):
        read_weights(tmp_path / "a.npy")


def test_a_structure_of_integers(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((), [("fc8", [("weights", "<i4", (2, 2))])]))
    with pytest.raises(WeightsError, match=r"^a\.npy: fc8/weights is not an array of float16, float32 or float64; "):
        read_weights(tmp_path / "a.npy")
