"""What is said when a package is missing: the package, never `finetune[…]`, which another project would answer."""

import re
import tomllib
from pathlib import Path

from finetune.system.extras import PACKAGES, needs

ROOT = Path(__file__).parents[2]


def test_the_packages_are_named_with_their_versions() -> None:
    assert needs("ray") == "needs ray; pip install 'ray>=2.60'"
    assert needs("onnx", "ai_edge_litert") == (
        "needs onnx and ai-edge-litert; pip install 'onnx>=1.16' 'ai-edge-litert>=2.0'"
    )
    assert needs("ray", "onnx", "uvicorn").startswith("needs ray, onnx and uvicorn; pip install 'ray>=2.60' ")


def test_they_are_those_of_pyproject() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = ("onnx", "check", "heic", "parquet", "ray", "export", "serve")
    own = {package for name in names for package in extras[name]}
    assert set(PACKAGES.values()) == {package for package in own if not package.startswith("finetune-alexnet[")}


def test_nothing_says_to_install_finetune_from_the_package_index() -> None:
    """Another project has that name there, so every message and page says `pip install .` or names the packages."""
    texts = [*ROOT.glob("*.md"), *(path for name in ("finetune", "examples") for path in (ROOT / name).rglob("*"))]
    texts = [path for path in texts if path.suffix in {".py", ".md", ".html"}]
    assert len(texts) > 100
    found = [path.name for path in texts if re.search(r"pip install\s+[\"']?finetune", path.read_text("utf-8"))]
    assert found == []
