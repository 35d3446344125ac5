"""The .npz archives: with this package's names and the VGG16 file's, stored and compressed."""

import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from support.weights_bytes import large_tensors, peak_of_reading

from finetune.errors import WeightsError
from finetune.formats.npz_file import read_npz, write_npz
from finetune.formats.read_weights import read_weights

RNG = np.random.default_rng(0)
TENSORS = {
    "conv1_1/kernel": RNG.standard_normal((3, 3, 2, 4), np.float32),
    "conv1_1/bias": RNG.standard_normal(4, np.float32),
    "fc8/kernel": RNG.standard_normal((300, 5)).astype(np.float16),
    "fc8/bias": RNG.standard_normal(5),
    "bn1/moving_mean": RNG.standard_normal(5, np.float32),
}


def equal(path: Path, expected: dict[str, np.ndarray]) -> None:
    file = read_weights(path)
    assert (file.format, file.channel_first, file.network) == ("npz", False, None)
    assert list(file.tensors) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(file.tensors[name], tensor, strict=True)


def test_what_we_write_we_read_and_numpy_reads(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    write_npz(path, TENSORS)
    equal(path, TENSORS)
    with np.load(path, allow_pickle=False) as by_numpy:
        assert by_numpy.files == list(TENSORS)
        for name, tensor in TENSORS.items():
            np.testing.assert_array_equal(by_numpy[name], tensor, strict=True)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_names_of_the_vgg16_file_become_ours(save, tmp_path: Path) -> None:
    path = tmp_path / "vgg16_weights.npz"
    kernel, bias = TENSORS["conv1_1/kernel"], TENSORS["conv1_1/bias"]
    save(path, conv1_1_W=kernel, conv1_1_b=bias, fc6_W=kernel.T)
    equal(path, {"conv1_1/kernel": kernel, "conv1_1/bias": bias, "fc6/kernel": kernel.T})


def test_views_are_written_as_they_look(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    views = {"fc8/kernel": TENSORS["fc8/kernel"].T, "conv/kernel": TENSORS["conv1_1/kernel"].transpose(2, 3, 1, 0)}
    write_npz(path, views)
    equal(path, views)


def test_bfloat16_becomes_float32_and_integers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.npz"
    numbers = np.array([1.5, -3.0])
    write_npz(path, {"fc8/bias": numbers.astype(ml_dtypes.bfloat16)})
    equal(path, {"fc8/bias": numbers.astype(np.float32)})
    with pytest.raises(WeightsError, match=r"^no.npz: fc8/bias is int64; expected float16, float32 or float64$"):
        write_npz(tmp_path / "no.npz", {"fc8/bias": np.arange(3)})
    assert [file.name for file in tmp_path.iterdir()] == ["out.npz"]


def test_equal_tensors_give_equal_files(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", TENSORS)
    write_npz(tmp_path / "b.npz", TENSORS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_changed_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "flipped.npz"
    write_npz(path, TENSORS)
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("fc8/kernel.npy")
    data = bytearray(path.read_bytes())
    data[member.header_offset + 1000] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=r"^flipped.npz: .*truncated or damaged \(Bad CRC-32 for file 'fc8/kernel"):
        read_npz(path)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured through Linux' /proc")
def test_reading_peaks_at_the_size_of_the_file(tmp_path: Path) -> None:
    write_npz(tmp_path / "large.npz", large_tensors())
    assert 0.9 < peak_of_reading(tmp_path / "large.npz", "npz_file", "read_npz") < 1.3
