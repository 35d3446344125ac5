"""The memory of mapped files."""

import sys
from pathlib import Path

import numpy as np
import pytest

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
        total += len(piece)
        most = max(most, of_files() - before)
    assert total == SIZE
    assert most < 0.6 * SIZE


def test_an_array_of_no_file_stays_as_it_is() -> None:
    array = np.ones(4)[1:]
    release(array)
    release(memoryview(b"1234"))
    assert array.tolist() == [1, 1, 1]
