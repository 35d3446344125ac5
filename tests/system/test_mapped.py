"""The memory of mapped files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.system.mapped import map_file, pieces, release

SIZE = 64 << 20  # bytes


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    path = tmp_path / "weights"
    path.write_bytes(np.ones(SIZE // 4, np.float32).tobytes())
    return np.frombuffer(memoryview(map_file(path))[:SIZE], np.float32).reshape(-1, 1024)


def of_files() -> int:
    """Return the bytes of this process's memory that belong to files."""
    return int(Path("/proc/self/status").read_text().partition("RssFile:")[2].split()[0]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_of_a_mapped_file_is_given_back(mapped: np.ndarray) -> None:
    before = of_files()
    assert mapped.sum(dtype=np.float64) == SIZE // 4
    assert of_files() - before > 0.9 * SIZE
    release(mapped)
    assert of_files() - before < 0.1 * SIZE
    assert mapped.sum(dtype=np.float64) == SIZE // 4, "it is read again"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_tensor_in_pieces_is_never_in_memory_as_a_whole(mapped: np.ndarray) -> None:
    before, most, total = of_files(), 0, 0
    for piece in pieces(mapped):
        total += len(bytes(piece))  # all of it is read
        most = max(most, of_files() - before)
    assert total == SIZE
    assert most < 0.6 * SIZE


def test_the_pieces_are_the_bytes_in_c_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.system.mapped.PIECE", 100)
    numbers = np.arange(600, dtype=">f4").reshape(20, 30)
    for tensor in (numbers, numbers.T, numbers[::-1], numbers[0, :1].reshape(())):
        parts = [bytes(piece) for piece in pieces(tensor)]
        assert b"".join(parts) == tensor.astype("<f4").tobytes()
        assert max(map(len, parts)) <= max(100, tensor[:1].nbytes if tensor.ndim else 4)


def test_files_that_cannot_be_mapped(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    cases = {
        "missing.npy": f"cannot be read (No such file or directory); check the path {tmp_path / 'missing.npy'}",
        "empty.npy": "expected a weights file, but it is empty; get a new copy",
        "": "expected a weights file, but it is not a regular file; pass a file",
    }
    for name, message in cases.items():
        path = tmp_path / name
        with pytest.raises(WeightsError) as caught:
            map_file(path)
        assert str(caught.value) == f"{path.name}: {message}"


def test_an_array_without_a_file_stays_as_it_is() -> None:
    array = np.ones(4)[1:]
    release(array)
    release(memoryview(b"1234"))
    assert array.tolist() == [1, 1, 1]
