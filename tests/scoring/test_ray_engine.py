"""`score --engine ray`: on a cluster, and the errors without one."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.ray_machines import run_in_own_process

from finetune.errors import RunError, UsageError
from finetune.scoring.score import score
from finetune.scoring.score_options import ScoreOptions
from finetune.system.ray_cluster import connected

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
    run_in_own_process(Path(__file__).with_name("ray_cluster.py"), 3)


@pytest.mark.parametrize("address", ["here", ":6379", "host:", "host:six", "host:-1", "http://host:6379", "host:65536"])
def test_invalid_addresses(address: str) -> None:
    with pytest.raises(UsageError, match=rf"--address {address}: expected HOST:PORT, as `ray start` shows it"):
        next(connected(address).gen)


def test_nothing_listens(data: Path, tiny_weights: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RunError, match=rf"nothing listens at --address {address} \(Connection refused\); expected"):
            score(["images"], Path("x.csv"), ScoreOptions(), str(tiny_weights), engine="ray", address=address)
    assert list(Path().glob("x.csv*")) == [], "nothing is written"


def test_ray_is_missing(data: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--engine ray needs ray; pip install 'ray>=2.60'"):
        score(["images"], Path("x.csv"), ScoreOptions(), str(tiny_weights), engine="ray")
