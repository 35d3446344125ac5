"""Batches on the workers of a Ray cluster."""

from pathlib import Path

import pytest
from support.ray_machines import run_in_own_process


@pytest.mark.tensorflow
@pytest.mark.slow
def test_on_a_cluster() -> None:
    run_in_own_process(Path(__file__).with_name("ray_jobs.py"), 8)
