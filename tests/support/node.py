"""The JavaScript of the export to the web, run by node."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import finetune
from finetune.data.channels import Image

BROWSER = Path(finetune.__file__).parent / "export" / "browser"
_RUNNER = Path(__file__).with_name("browser_code.mjs")


def run_in_node(jobs: list[dict[str, Any]]) -> list[Any]:
    """Return the answers of `browser_code.mjs`, its own description says of what; skip the test without node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    done = subprocess.run(
        [node, str(_RUNNER), str(BROWSER)], input=json.dumps(jobs), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def rgb_job(image: Image) -> dict[str, Any]:
    """Return the part of a job that is a BGR image."""
    height, width = image.shape[:2]
    return {"pixels": base64.b64encode(image[..., ::-1].tobytes()).decode(), "width": width, "height": height}


def as_pixels(answer: str) -> NDArray[np.uint8]:
    """Return bytes that came as base64."""
    return np.frombuffer(base64.b64decode(answer), np.uint8)
