"""CONTRIBUTING.md: the two walks through the code name functions that exist, where it says they are."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`([a-z_/]+\.py): (\w+)`", TEXT)))


def test_both_walks_are_there() -> None:
    walks = TEXT.partition("## How a prediction is made")[2].partition("## The layers")[0]
    assert "## How a training runs" in walks
    assert len(re.findall(r"`[a-z_/]+\.py: \w+`", walks)) > 25


@pytest.mark.parametrize(("file", "name"), PLACES)
def test_a_named_function_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / "finetune" / file).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert name in defined, f"{file} defines no {name}"
