"""`score --engine ray`: on a cluster, and the errors without one."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.errors import RunError, UsageError
from finetune.scoring import ray_engine
from finetune.scoring.score import score
from finetune.scoring.score_options import ScoreOptions

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:ray.*")  # it sets its own deprecated options


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One image; the current folder is the one above."""
    folder = image_folder(stripes=1)
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.mark.tensorflow
@pytest.mark.slow
def test_on_a_cluster() -> None:
    """In its own process and session: Ray has been seen to kill the process that uses it, and all tests with it."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("ray_cluster.py"))]
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=False)
        if re.search(r"\d (passed|failed|error)", done.stdout):
            break
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("address", ["here", ":6379", "host:", "host:six", "host:-1", "http://host:6379", "host:65536"])
def test_invalid_addresses(address: str) -> None:
    with pytest.raises(UsageError, match=rf"--address {address}: expected HOST:PORT, as `ray start` shows it"):
        next(ray_engine.connected(address).gen)


def test_nothing_listens(data: Path, tiny_weights: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match=rf"nothing listens at --address {address} \(Connection refused\); expected"):
            score(["images"], Path("x.csv"), ScoreOptions(), str(tiny_weights), engine="ray", address=address)
    assert list(Path().glob("x.csv*")) == [], "nothing is written"


def test_ray_is_missing(data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"score --engine ray needs ray; pip install 'ray\[data\]>=2.60'"):
        score(["images"], Path("x.csv"), ScoreOptions(), str(tiny_weights), engine="ray")
