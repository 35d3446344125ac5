"""What readers return and writers write to."""

from pathlib import Path

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile, layer_of, new_weights_file


def test_the_layer_of_a_weight() -> None:
    assert layer_of("conv1/kernel") == "conv1"
    assert layer_of("block1/conv1/kernel") == "block1/conv1"
    assert layer_of("kernel") == ""


def test_layers_in_the_order_of_the_file_and_once() -> None:
    tensors = dict.fromkeys(["fc8/kernel", "conv1/kernel", "fc8/bias"], np.zeros(1))
    assert WeightsFile(Path("x"), "npy", tensors).layers() == ["fc8", "conv1"]


def test_a_new_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    with new_weights_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"

    def fail() -> None:
        with new_weights_file(path) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npy"]


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    def fill() -> None:
        with new_weights_file(tmp_path / "a.npy"):
            raise OSError(28, "No space left on device")

    with pytest.raises(WeightsError) as caught:
        fill()
    assert str(caught.value) == f"a.npy: cannot be written (No space left on device); check {tmp_path}"
