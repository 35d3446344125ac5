"""torchvision's .pth files, by hand in both forms of torch.save, and by torch where it is installed."""

import pickle
import re
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.pytorch_files import (
    TYPES,
    VGG16,
    described,
    described_state,
    plain,
    state_dict,
    stream,
    tensor,
    written,
    zipped,
)

from finetune.formats.read_weights import read_weights
from finetune.formats.weights_file import Array


def check(path: Path, state: Mapping[str, Array], dtype: Any = "<f4") -> None:
    """The file at `path` has the AlexNet in `state`."""
    file = read_weights(path)
    assert (file.format, file.network, file.channel_first) == ("pytorch", "alexnet-owt", True)
    assert file.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    for (name, array), theirs in zip(file.tensors.items(), state.values(), strict=True):
        theirs = theirs.astype(dtype)
        expected = theirs.transpose(2, 3, 1, 0) if theirs.ndim == 4 else theirs.T
        assert array.dtype == theirs.dtype, name
        np.testing.assert_array_equal(array, expected, err_msg=name)


@pytest.mark.parametrize("write", [zipped, stream])
def test_both_forms(tmp_path: Path, write: Callable[..., bytes]) -> None:
    state = state_dict()
    check(written(tmp_path / "alexnet.pth", write(*described_state(state))), state)


@pytest.mark.parametrize("kind", ["Float", "Double", "Half", "BFloat16"])
def test_numbers_keep_their_type(tmp_path: Path, kind: str) -> None:
    state = state_dict()
    check(written(tmp_path / "alexnet.pth", zipped(*described_state(state, kind))), state, TYPES[kind])


def test_storages_are_found_by_key_and_not_by_order(tmp_path: Path) -> None:
    state = state_dict()
    data, storages = described_state(state)
    check(written(tmp_path / "alexnet.pth", stream(data, dict(reversed(storages.items())))), state)


def test_checkpoints_of_training_scripts(tmp_path: Path) -> None:
    data, storages = described_state({f"module.{name}": array for name, array in state_dict().items()})
    wrapped = b"\x80\x02}(" + plain("epoch") + plain(90) + plain("state_dict") + data[2:-1] + b"u."
    check(written(tmp_path / "checkpoint.pth", zipped(wrapped, storages)), state_dict())


def test_files_of_python_2(tmp_path: Path) -> None:
    state = state_dict()
    data, storages = described_state(state)
    text = re.compile(rb"X(.)\0\0\0", re.DOTALL)  # str is a byte string there, and PyTorch 0.1 had other names
    old = text.sub(rb"U\1", data).replace(b"_rebuild_tensor_v2", b"_rebuild_tensor")
    check(
        written(tmp_path / "old.pth", stream(old, storages, keys=text.sub(rb"U\1", pickle.dumps(list(storages), 2)))),
        state,
    )


def test_parts_of_a_storage(tmp_path: Path) -> None:
    state = state_dict()
    everything = np.arange(100, dtype="<f4")
    _, storages = described_state(state)
    items = {name: tensor(str(i), array.size, array.shape) for i, (name, array) in enumerate(state.items())}
    items["classifier.6.bias"] = tensor("all", 100, (5,), offset=7, strides=(3,))
    items["classifier.6.weight"] = tensor("all", 100, (5, 8), offset=20, strides=(1, 5))  # a transposed matrix
    path = written(tmp_path / "alexnet.pth", zipped(described(items), {**storages, "all": everything.tobytes()}))
    state["classifier.6.bias"] = everything[7:22:3]
    state["classifier.6.weight"] = everything[20:60].reshape(8, 5).T
    check(path, state)


def test_vgg16(tmp_path: Path) -> None:
    state = state_dict(VGG16, (2,) * 13)
    file = read_weights(written(tmp_path / "vgg16.pth", zipped(*described_state(state))))
    assert file.network == "vgg16"
    assert ",".join(file.layers()) == (
        "conv1_1,conv1_2,conv2_1,conv2_2,conv3_1,conv3_2,conv3_3,"
        "conv4_1,conv4_2,conv4_3,conv5_1,conv5_2,conv5_3,fc6,fc7,fc8"
    )
    np.testing.assert_array_equal(file.tensors["conv5_3/bias"], state["features.28.bias"])
    np.testing.assert_array_equal(file.tensors["fc7/kernel"], state["classifier.3.weight"].T)
    assert file.metadata["preprocessing"]["channel_order"] == "RGB"


def test_another_width_is_no_known_network(tmp_path: Path) -> None:
    state = state_dict(filters=(63, 6, 7, 5, 4))
    assert read_weights(written(tmp_path / "alexnet.pth", zipped(*described_state(state)))).network is None


@pytest.mark.parametrize("write", [zipped, stream])
def test_arrays_are_views_of_the_file(tmp_path: Path, write: Callable[..., bytes]) -> None:
    state = state_dict()
    state["classifier.1.weight"] = np.ones((9, 1_000_000), np.float32)
    path = written(tmp_path / "alexnet.pth", write(*described_state(state)))
    tracemalloc.start()
    file = read_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.02 * path.stat().st_size
    assert not file.tensors["fc6/kernel"].flags.writeable


@pytest.mark.parametrize("as_zip", [True, False])
def test_what_torch_itself_writes(tmp_path: Path, as_zip: bool) -> None:
    torch = pytest.importorskip("torch")
    state = state_dict()
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    torch.save(tensors, tmp_path / "alexnet.pth", _use_new_zipfile_serialization=as_zip)
    check(tmp_path / "alexnet.pth", state)
