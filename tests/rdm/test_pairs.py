"""Pairs of stimuli in the order of scipy's pdist."""

from io import BytesIO

import numpy as np
from scipy.spatial.distance import squareform

from finetune.rdm import pairs as module
from finetune.rdm.pairs import Pairs, consecutive, pair_count, pieces_of


def test_tiles_are_written_in_order() -> None:
    whole = np.arange(49.0).reshape(7, 7)
    file = BytesIO(b"\xff" * 8 * 2 * pair_count(7))
    first_row, second_row = consecutive(Pairs(file, 0, pair_count(7)), 2)
    for first, second in ((slice(0, 3), slice(0, 3)), (slice(0, 3), slice(3, 7)), (slice(3, 7), slice(3, 7))):
        second_row.write_tile(7, first, second, whole[first, second])
    found = second_row.read(slice(0, 21))
    np.testing.assert_array_equal(found, whole[np.triu_indices(7, 1)])
    assert squareform(found)[1, 5] == whole[1, 5]
    assert second_row.read(slice(3, 5)).tolist() == found[3:5].tolist()
    assert np.isnan(first_row.read(slice(0, 21))).all()
    assert len(second_row) == 21


def test_pieces() -> None:
    assert list(pieces_of(0)) == []
    assert list(pieces_of(module.PIECE + 1)) == [slice(0, module.PIECE), slice(module.PIECE, module.PIECE + 1)]
