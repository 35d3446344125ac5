"""What is said when a package is missing: the package, never `finetune[…]`, which another project would answer."""

import tomllib
from pathlib import Path

from finetune.system.extras import PACKAGES, needs

ROOT = Path(__file__).parents[2]


def test_the_packages_are_named_with_their_versions() -> None:
    assert needs("ray") == "needs ray; pip install 'ray[data]>=2.60'"
    assert needs("onnx", "ai_edge_litert") == (
        "needs onnx and ai-edge-litert; pip install 'onnx>=1.16' 'ai-edge-litert>=2.0'"
    )


def test_they_are_those_of_pyproject() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    own = {package for extra in ("onnx", "check", "parquet", "ray", "export") for package in extras[extra]}
    assert set(PACKAGES.values()) == {package for package in own if not package.startswith("finetune[")}


def test_nothing_tells_to_install_finetune_from_the_index() -> None:
    found = [path.name for path in (ROOT / "finetune").rglob("*.py") if "install 'finetune[" in path.read_text("utf-8")]
    assert found == []
