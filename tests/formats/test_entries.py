"""Containers in containers, as a list of names and values."""

import re
from typing import Any

import numpy as np
import pytest

from finetune.errors import WeightsError
from finetune.formats.entries import entries


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ({"conv1": [1.0, 2.0]}, [("conv1/kernel", 1.0), ("conv1/bias", 2.0)]),
        ({"conv1": (1.0,)}, [("conv1/kernel", 1.0)]),
        ({"conv1": [1.0, None]}, [("conv1/kernel", 1.0)]),
        ({b"conv1": {b"weights": 1.0}, "data": {}, "step": 3}, [("conv1/weights", 1.0), ("data", {}), ("step", 3)]),
        ([("conv1", [1.0, 2.0]), ("fc6_W", 3.0)], [("conv1/kernel", 1.0), ("conv1/bias", 2.0), ("fc6_W", 3.0)]),
        ([("conv1", 1.0, 2.0)], [("conv1/kernel", 1.0), ("conv1/bias", 2.0)]),
        ([{"conv1": {"w": 1.0}}], [("0/conv1/w", 1.0)]),
        ({"net": {1: {"w": 1.0}}}, [("net/1/w", 1.0)]),
        ({"fc8": [1.0, 2.0, 3.0]}, [("fc8/0", 1.0), ("fc8/1", 2.0), ("fc8/2", 3.0)]),
        ([], []),
        (5, []),
    ],
)
def test_names_and_values_in_order(root: Any, expected: list[tuple[str, Any]]) -> None:
    assert list(entries("a.npy", root)) == expected


def test_a_list_of_arrays_is_one_of_pairs() -> None:
    one, two, three, four = (np.zeros(size) for size in range(4))
    expected = [("0/kernel", one), ("0/bias", two), ("1/kernel", three), ("1/bias", four)]
    assert [(name, value.size) for name, value in entries("a.npy", [one, two, three, four])] == [
        (name, value.size) for name, value in expected
    ]


def test_other_containers_are_opened() -> None:
    assert list(entries("a.npy", "ab", lambda value: dict.fromkeys(value, 1) if value == "ab" else value)) == [
        ("a", 1),
        ("b", 1),
    ]


def test_containers_in_themselves_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    ((name, _),) = entries("a.npy", endless)
    assert name.count("/") < 10
    many: Any = 1
    for _ in range(7):
        many = {str(number): many for number in range(100)}
    refusal = "a.npy: refused: it has more than 10,000 entries, and weights need hundreds; choose another"
    with pytest.raises(WeightsError, match=f"^{re.escape(refusal)}$"):
        list(entries("a.npy", many))
