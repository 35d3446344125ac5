"""Packages that only some commands need, and what to install if one is missing."""

# By import name; the versions are those of the extras in pyproject.toml.
PACKAGES = {
    "ai_edge_litert": "ai-edge-litert>=2.0",
    "cleanlab": "cleanlab>=2.7",
    "fastapi": "fastapi>=0.120",
    "onnx": "onnx>=1.16",
    "onnxruntime": "onnxruntime>=1.20",
    "pi_heif": "pi-heif>=1.1",
    "pyarrow": "pyarrow>=18.0",
    "python_multipart": "python-multipart>=0.0.20",
    "ray": "ray>=2.60",
    "uvicorn": "uvicorn>=0.35",
}


def needs(*modules: str) -> str:
    """Return the end of a message: `needs onnx; pip install 'onnx>=1.16'`.

    It names the packages themselves, because another project is called finetune on the public index.
    """
    packages = [PACKAGES[module] for module in modules]
    *others, last = (package.partition(">=")[0].partition("[")[0] for package in packages)
    names = f"{', '.join(others)} and {last}" if others else last
    return f"needs {names}; pip install {' '.join(repr(package) for package in packages)}"
