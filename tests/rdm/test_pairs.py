"""Pairs of stimuli in the order of scipy's pdist."""

import numpy as np
from scipy.spatial.distance import squareform

from finetune.rdm import pairs as module
from finetune.rdm.pairs import Pairs, pair_count, pieces_of


def test_tiles_are_written_in_order() -> None:
    whole = np.arange(49.0).reshape(7, 7)
    rows = np.full((2, pair_count(7)), np.nan)
    for first, second in ((slice(0, 3), slice(0, 3)), (slice(0, 3), slice(3, 7)), (slice(3, 7), slice(3, 7))):
        Pairs(rows, 1).write_tile(7, first, second, whole[first, second])
    np.testing.assert_array_equal(rows[1], whole[np.triu_indices(7, 1)])
    assert np.isnan(rows[0]).all()
    assert squareform(rows[1])[1, 5] == whole[1, 5]
    assert len(Pairs(rows, 1)) == 21


def test_pieces() -> None:
    assert list(pieces_of(0)) == []
    assert list(pieces_of(module.PIECE + 1)) == [slice(0, module.PIECE), slice(module.PIECE, module.PIECE + 1)]
