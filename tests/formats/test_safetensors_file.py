"""Reading and writing safetensors, compared with the format's own library."""

import hashlib
import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from support.weights_bytes import large_tensors, peak_of_reading

from finetune.errors import WeightsError
from finetune.formats.safetensors_file import METADATA_KEY, read_safetensors, tensor_digests, write_safetensors
from finetune.system import mapped as files

RNG = np.random.default_rng(0)
TENSORS = {
    "conv2/kernel": RNG.standard_normal((3, 3, 2, 4), np.float32),
    "conv2/bias": RNG.standard_normal(5).astype(np.float16),
    "bn2/gamma": RNG.standard_normal(3),
    "fc1/kernel": RNG.standard_normal((30, 5)).astype(ml_dtypes.bfloat16),
    "fc1/scale": np.array(1.5, np.float32),
}
METADATA = {
    "network": "alexnet",
    "options": {"num_classes": 2, "input_size": 163},
    "class_names": ["ants", "bees", 'ä "quoted" name'],
    "metrics": {"val_accuracy": 0.93},
}


def test_what_is_written_is_read_in_the_same_order(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS, METADATA)
    file = read_safetensors(path)
    assert (file.format, file.network, file.metadata, file.channel_first) == ("safetensors", "alexnet", METADATA, False)
    assert list(file.tensors) == list(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(file.tensors[name], tensor, strict=True)


def test_the_library_reads_what_we_write(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS, METADATA)
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()[METADATA_KEY]) == METADATA
    found = load_file(path)
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor, strict=True)


def test_we_read_what_the_library_writes(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file(TENSORS, path, metadata={"format": "pt"})
    file = read_safetensors(path)
    assert (file.network, file.metadata) == (None, {})
    assert set(file.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(file.tensors[name], tensor, strict=True)


def test_views_and_other_byte_orders_are_written_as_they_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIECE", 100)  # several pieces a tensor
    path = tmp_path / "views.safetensors"
    kernel = TENSORS["conv2/kernel"]
    views = {
        "a/kernel": kernel.transpose(2, 3, 1, 0),
        "b/kernel": kernel.astype(">f8"),
        "c/bias": kernel[0, 0, ::-1, 2],
    }
    write_safetensors(path, views)
    for name, tensor in read_safetensors(path).tensors.items():
        np.testing.assert_array_equal(tensor, views[name])


def test_tensors_are_read_only_views_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS)
    kernel = read_safetensors(path).tensors["conv2/kernel"]
    assert not kernel.flags.writeable
    assert not kernel.flags.owndata
    assert kernel.flags.aligned


def test_other_types_are_refused_in_and_out(tmp_path: Path) -> None:
    path = tmp_path / "integers.safetensors"
    expected = "expected one of bfloat16, float16, float32, float64"
    with pytest.raises(WeightsError, match=rf"^integers.safetensors: steps/count is int64; {expected}$"):
        write_safetensors(path, {"steps/count": np.arange(3)})
    save_file({"steps/count": np.arange(3)}, path)
    with pytest.raises(WeightsError, match=r"^integers.safetensors: steps/count is I64; expected one of BF16, F16, F"):
        read_safetensors(path)


def test_digests_are_of_the_values_in_c_order(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, {**TENSORS, "a/kernel": TENSORS["fc1/kernel"].T}, METADATA)
    digests = tensor_digests(path)
    assert list(digests) == [*TENSORS, "a/kernel"]
    for name, tensor in {**TENSORS, "a/kernel": TENSORS["fc1/kernel"].T}.items():
        assert digests[name] == hashlib.sha256(tensor.tobytes()).hexdigest(), name


class Broken(np.ndarray):
    """A tensor that fails when it is written."""

    def __getitem__(self, _: object) -> None:
        raise RuntimeError("stop")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write_safetensors(path, TENSORS)
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="stop"):
        write_safetensors(
            path, {"a/kernel": np.ones(4, np.float32), "b/kernel": np.ones((4, 4), np.float32).view(Broken)}
        )
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_missing_folder_and_a_full_disk_are_one_line(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "model.safetensors"
    with pytest.raises(
        WeightsError, match=r"^model.safetensors: cannot be written \(No such file .*\); check .*missing$"
    ):
        write_safetensors(missing, TENSORS)
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(WeightsError, match=r"^folder.safetensors: cannot be written \(Is a directory\); check "):
        write_safetensors(folder, TENSORS)
    assert [file.name for file in tmp_path.iterdir()] == [folder.name]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "model.safetensors", TENSORS)
    (tmp_path / "plain").touch()
    assert (tmp_path / "model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured through Linux' /proc")
def test_reading_peaks_at_the_size_of_the_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "large.safetensors", large_tensors())
    peak = peak_of_reading(tmp_path / "large.safetensors", "safetensors_file", "read_safetensors")
    assert 0.9 < peak < 1.15
