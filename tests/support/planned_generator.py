"""A stand-in for NumPy's random generator."""

from typing import Any

import numpy as np


class PlannedGenerator:
    """A generator that returns what the test says instead of drawing."""

    def __init__(self, factors: tuple[float, ...] = (), order: tuple[int, ...] = ()) -> None:
        self.factors, self.order = np.array(factors), np.array(order)
        self.limits: tuple[float, float] | None = None

    def normal(self, scale: float, size: int) -> Any:
        assert size == len(self.factors)
        return scale * self.factors

    def uniform(self, low: float, high: float, size: int) -> Any:
        assert size == len(self.factors)
        self.limits = low, high
        return self.factors

    def permutation(self, count: int) -> Any:
        assert count == len(self.order)
        return self.order
