"""Which group a path names, and groups that share images."""

from itertools import pairwise
from pathlib import Path

import pytest

from finetune.data.groups import group_name, joined_groups


@pytest.mark.parametrize(("path", "group_by", "name"), [
    ("images/ants/nest1/a.jpg", "parent", "images/ants/nest1"),
    ("a.jpg", "parent", "."),
    ("images/ants/patient12_3.jpg", r"patient(\d+)", "12"),
    ("images/ants/patient12_3.jpg", r"^([^/]+)", "images"),
    ("images/ants/patient12_3.jpg", r"(\w)(\d)_", "1"),
    ("images/ants/p.jpg", r"patient(\d+)", ""),
    ("images/ants/p.jpg", r"p(\d+)?", ""),
    ("images/ants/p.jpg", r"p(\d*)", ""),
    ("train-images-idx3-ubyte#12", r"#(\d)", "1"),
])  # fmt: skip
def test_group_name(path: str, group_by: str, name: str) -> None:
    """The first group of the first match; no match, or an empty one, is no group."""
    assert group_name(Path(path), group_by) == name


def test_joined_groups() -> None:
    """f joins e, which is already behind d, and so f, d and b are one."""
    together = [["d", "b"], ["c"], ["d", "e"], ["f", "e"], []]
    expected = {"a": ("a",), "c": ("c",), **dict.fromkeys("bdef", ("b", "d", "e", "f"))}
    assert joined_groups("abcdef", together) == expected
    assert joined_groups("a", together[:1]) == {"a": ("a",), "b": ("b", "d"), "d": ("b", "d")}
    assert joined_groups("fedcba", together[::-1]) == expected


def test_a_long_chain_of_groups() -> None:
    names = [f"{number:05}" for number in range(20_000)]
    assert set(joined_groups(names, pairwise(names)).values()) == {tuple(names)}
