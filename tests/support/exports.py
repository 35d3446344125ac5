"""What the tests of export share."""

import numpy as np
from numpy.typing import NDArray

CLASSES = ("red", "grün|one", "blue")


def assert_same(found: NDArray[np.floating], expected: NDArray[np.float64]) -> None:
    """Compare probabilities, with the tolerance of an export."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
