"""Training with the features of a Ray cluster, and the errors without one."""

from pathlib import Path

import pytest
from support.ray_machines import run_in_own_process

from finetune.config import TrainConfig
from finetune.errors import UsageError
from finetune.training.train import start


@pytest.mark.tensorflow
@pytest.mark.slow
def test_on_a_cluster() -> None:
    run_in_own_process(Path(__file__).with_name("ray_training.py"), 4)


def test_an_address_is_only_for_ray(tmp_path: Path) -> None:
    config = TrainConfig(data=tmp_path / "images", out=tmp_path / "run")
    with pytest.raises(UsageError, match="--address is only for --engine ray; omit it"):
        list(start(config, "local", "host:6379"))
    assert list(tmp_path.iterdir()) == [], "nothing is written"
