"""One name, one thing: no two modules, classes or type aliases of the package are called alike."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "finetune"
MODULES = [path for path in PACKAGE.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]
MOST_LINES = 300


def test_no_two_modules_have_the_same_name() -> None:
    """A file in cli is named after its command, which may be the name of the module that does the work."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if path.parent.name != "cli":
            places[path.stem].append(str(path.relative_to(PACKAGE)))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_module_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "misc", "common", "tools"}
    assert not [path for path in MODULES if set(path.stem.split("_")) & nothing]


def test_no_two_types_have_the_same_name() -> None:
    places: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for name in types_in(ast.parse(path.read_text(encoding="utf-8"))):
            places[name].add(str(path.relative_to(PACKAGE)))
    assert not {name: sorted(found) for name, found in places.items() if len(found) > 1}


def types_in(module: ast.Module) -> Iterator[str]:
    """Yield the classes and type aliases at the top of a module: `Name = something[…]` or a union of types."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            target = node.targets[0]
            if isinstance(target, ast.Name) and not target.id.isupper() and target.id.strip("_")[0].isupper():
                yield target.id


def test_no_file_is_too_long_to_read() -> None:
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {name: lines for name, lines in lengths.items() if lines >= MOST_LINES}
