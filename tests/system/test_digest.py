import hashlib
from pathlib import Path

import numpy as np

from finetune.system.digest import digest_of_file, sha256, sha256_of_array, sha256_of_file

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_bytes_and_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(b"abc") == sha256_of_file(tmp_path / "file") == ABC


def test_kinds_that_publishers_state(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert digest_of_file(tmp_path / "file", "sha256") == digest_of_file(tmp_path / "file", "sha256-prefix") == ABC
    assert digest_of_file(tmp_path / "file", "sha1") == "a9993e364706816aba3e25717850c26c9cd0d89d"  # appendix A.1


def test_an_array_is_hashed_in_its_own_order() -> None:
    array = np.arange(6, dtype="<f4").reshape(2, 3)
    expected = hashlib.sha256(array.tobytes()).hexdigest()
    assert sha256_of_array(array) == expected
    assert sha256_of_array(array.T.copy().T) == expected
    assert sha256_of_array(array.T) != expected
    assert sha256_of_array(np.float32(1.0)) == sha256_of_array(np.array([1.0], np.float32))
