"""kill -9 in every phase: the run is resumed, and ends with the same bits."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.caffe_prototxt import net_text, write_solver

from finetune.networks import build


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize(("options", "phases"), [("gradient", 10), ("probe", 5), ("solver", 10)])
def test_two_kills_in_each_phase(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, options: str, phases: int
) -> None:
    (tmp_path / "runs").mkdir()
    program = Path(__file__).parents[1] / "support" / "kill_training.py"
    data = image_folder(stripes=30, dots=30)
    (data / "dots" / "broken.jpg").write_bytes(b"not an image")
    frozen = dict.fromkeys(("conv1", "conv2", "conv3", "conv4", "conv5"), (0, 0))
    net = net_text(build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 8}), {"fc8": "new"}, frozen)
    write_solver(tmp_path, net, max_iter=46)  # 48 images in batches of 4: three epochs of 12 steps, and one of 10
    command = [sys.executable, program, data, tiny_weights, tmp_path / "runs", "2", options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    kills = Counter(done.stdout.splitlines())
    assert len(kills) == phases, kills
    assert set(kills.values()) == {2}, kills
