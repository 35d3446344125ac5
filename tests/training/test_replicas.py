"""`replicas.py` with two and with four replicas."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = 11


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("count", [2, 4])
def test_replicas(count: int) -> None:
    command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("replicas.py"))]
    environment = {**os.environ, "REPLICAS": str(count)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert f"{TESTS} passed" in done.stdout
