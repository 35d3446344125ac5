"""`train --engine ray` on a cluster of two hosts, one of which loses its power."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.two_hosts import two_hosts

START_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1", "--object-store-memory=100000000")


def run_files(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.tensorflow
@pytest.mark.slow
def test_a_host_loses_its_power_in_the_frozen_pass(
    image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is that of the local engine, byte for byte; nobody hears from the host that it is gone."""
    pytest.importorskip("ray")
    damaged = image_folder(stripes=200, dots=200) / "dots" / "7.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["RAY_AUTH_MODE"] = "disabled"  # otherwise Ray writes a token to the user's home
    options = ["--weights", tiny_weights, "--skip", "fc8", "--views", "8", "--epochs", "2", "--out", "run"]
    train = (sys.executable, "-m", "finetune", "train", "--data", "images", *options)
    subprocess.run(
        train, env=environment | {"XDG_CACHE_HOME": str(tmp_path / "local")}, capture_output=True, check=True
    )
    expected = run_files(Path("run").rename("expected"))

    with two_hosts(environment | {"XDG_CACHE_HOME": str(tmp_path / "ray")}) as (head, other):
        cluster = f"{head.address}:6379"
        head.run(*START_RAY, "--head", f"--node-ip-address={head.address}", "--port=6379", "--include-dashboard=false")
        other.run(*START_RAY, f"--node-ip-address={other.address}", f"--address={cluster}")
        training = head.start(*train, "--engine", "ray", "--address", cluster)
        stored = Path("ray", "finetune", "features")
        while len(list(stored.rglob("*.npy"))) < 3:  # of 14, the first of which is from the estimate of the cost
            assert training.poll() is None, training.communicate()[0]
            time.sleep(0.01)
        assert any("ray::Worker" in name for name in other.processes())
        other.cut_power()
        assert len(list(stored.rglob("*.npy"))) < 8, "too late"
        printed, _ = training.communicate(timeout=300)
    assert training.returncode == 0, printed
    found = run_files(Path("run"))
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
    assert b"7.png" in found["skipped.csv"]
