"""Rows of a probe in blocks: copied to a file or read where they are, to the same bits."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from finetune.training import probe_blocks
from finetune.training.probe_blocks import fit_in_blocks
from finetune.training.store import FeatureStore, Key


@pytest.mark.parametrize("classes", [2, 3])
def test_rows_that_are_too_many_for_a_copy_give_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int
) -> None:
    monkeypatch.setattr(probe_blocks, "BLOCK_ROWS", 7)
    labels = np.arange(40) % classes
    keys = [Key(f"{number:064x}", 0, "float32") for number in range(40)]
    store = FeatureStore(tmp_path)
    for start in range(0, 40, 9):  # segments and blocks begin at different rows
        some = slice(start, start + 9)
        random = np.random.default_rng(start).normal(size=(len(labels[some]), 5)) + labels[some, None]
        store.keep(keys[some], random.astype(np.float32))
        store.flush()
    rows = store.rows(keys)
    read: list[int] = []

    def read_rows(numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        read.append(len(numbers))
        return rows[numbers]

    kernel, bias = fit_in_blocks(read_rows, labels, strength=0.1)
    copied, read[:] = sum(read), []
    assert copied in range(40, 43), "each row once, and one to see how long it is"
    monkeypatch.setattr(probe_blocks, "COPY_BYTES", 40 * 5 * 4 - 1)
    again = fit_in_blocks(read_rows, labels, strength=0.1)
    assert sum(read) > 3 * 40, "in each step"
    np.testing.assert_array_equal(again[0], kernel)
    np.testing.assert_array_equal(again[1], bias)
