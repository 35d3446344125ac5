"""What is stored of features: nothing is computed twice, and what is computed is the same after a kill."""

import logging
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.features import compute, views
from support.plans import plan_of

from finetune.config import TrainConfig
from finetune.data.folder import read_folder
from finetune.model import Model
from finetune.networks.compiled import BATCH_SIZE, Compiled
from finetune.training import store as store_module
from finetune.training.features import Trunk
from finetune.training.plan import SourceWeights
from finetune.training.store import cache_folder
from finetune.training.train import train


def test_stored_rows_are_not_computed_again(
    tiny_model: Model, image_folder: Callable[..., Path], decoded: list[Path]
) -> None:
    """One decode an image whatever its views; a second run none; a copy of a file none; a new one its whole batch."""
    folder = image_folder(stripes=5, dots=5)
    plan = plan_of(tiny_model, ("fc8",))
    dataset = read_folder(folder).all_to_train()
    first, _ = compute(plan, dataset, count=3)
    assert sorted(decoded) == sorted(record.path for record in dataset.records)
    decoded.clear()
    again, _ = compute(plan, dataset, count=3)
    assert decoded == []
    np.testing.assert_array_equal(first, again)

    shutil.copy(folder / "dots" / "0.png", folder / "dots" / "copy.png")
    compute(plan, read_folder(folder).all_to_train(), count=3)
    assert decoded == []
    (folder / "dots" / "new.png").write_bytes(image_folder("more", waves=1).joinpath("waves", "0.png").read_bytes())
    larger = read_folder(folder).all_to_train()
    compute(plan, larger, count=3)  # 33 rows; new.png has the last three of the dots, rows 15 to 17
    assert decoded == [record.path for record in larger.records if record.path.stem != "copy"]

    decoded.clear()
    compute(replace(plan, source=SourceWeights("other", "cd" * 32)), dataset)
    assert len(decoded) == 10, "other weights, other features"


def test_one_forward_pass_for_every_view(
    tiny_model: Model, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten images, one of them twice, three views each: 30 rows are computed, and none the second time."""
    folder = image_folder(stripes=5, dots=5)
    shutil.copy(folder / "dots" / "0.png", folder / "dots" / "copy.png")
    dataset = read_folder(folder)
    computed: list[int] = []
    for _ in range(2):
        trunk = Trunk(plan_of(tiny_model, ("fc8",)))
        function = trunk._function("float32")
        counting = lambda pixels, f=function: (computed.append(len(pixels)), f(pixels))[1]  # noqa: E731
        monkeypatch.setitem(trunk._functions, "float32", counting)
        with trunk.open_store() as store:
            trunk.compute(dict.fromkeys(dataset.records, views(3)), store)
    assert sum(computed) == 30


def test_rows_do_not_depend_on_what_is_stored_already(
    tiny_model: Model,
    image_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    break_png: Callable[[Path], None],
) -> None:
    """With a forward pass whose result depends on the place in the batch, as on some processors.

    Of 79 readable images, some rows are lost before the second pass, as after a kill: it computes the same ones.
    """
    folder = image_folder(stripes=40, dots=40)
    break_png(folder / "dots" / "7.png")
    dataset = read_folder(folder)
    plan = plan_of(tiny_model, ("fc8",))
    forward = Compiled.__call__
    places = lambda rows: 1 + np.arange(len(rows), dtype=np.float32).reshape(-1, 1) / 64  # noqa: E731
    monkeypatch.setattr(Compiled, "__call__", lambda *a, **o: (rows := forward(*a, **o)) * places(rows))
    monkeypatch.setattr(store_module, "SEGMENT_ROWS", 20)
    expected, unreadable = compute(plan, dataset)
    assert unreadable
    segments = sorted(cache_folder().rglob("*.npy"))
    assert len(segments) == 4
    for lost in (segments[:1], segments[1:], segments[::2], segments):
        kept = {segment: segment.read_bytes() for segment in segments}
        for segment in lost:
            segment.unlink()
        again, _ = compute(plan, dataset)
        np.testing.assert_array_equal(again, expected)
        for segment in cache_folder().rglob("*.npy"):
            segment.unlink()
        for segment, content in kept.items():
            segment.write_bytes(content)


def test_killed_at_once_leaves_whole_segments(
    tiny_model: Model, image_folder: Callable[..., Path], decoded: list[Path]
) -> None:
    """SIGKILL after the first segment, which is the first batch: the second run computes only the other 28 images."""
    folder = image_folder(stripes=30, dots=30)
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from finetune.config import TrainConfig\n"
        "from finetune.training import store\n"
        "store.SEGMENT_ROWS = 32\n"
        "register = store.FeatureStore._register\n"
        "def kill(*arguments):\n"
        "    register(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "store.FeatureStore._register = kill\n"
        "from finetune.training.train import train\n"
        "options = {'weights': 'starter', 'out': Path(sys.argv[2]), 'skip': ('fc8',), 'precision': 'float32'}\n"
        "train(TrainConfig(data=Path(sys.argv[1]), **options))\n"
    )
    out = folder.parent / "run"
    killed = subprocess.run([sys.executable, "-c", program, folder, out], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    train(TrainConfig(data=folder, weights="starter", out=out, epochs=1, overwrite=True, precision="float32"))
    assert len(decoded) == 28


def test_no_cache_leaves_nothing(tiny_model: Model, image_folder: Callable[..., Path]) -> None:
    compute(plan_of(tiny_model, ("fc8",)), read_folder(image_folder(stripes=2, dots=2)), cache=False)
    assert not cache_folder().exists()


def test_interrupted_in_the_middle_keeps_the_rows_so_far(
    tiny_model: Model, image_folder: Callable[..., Path], decoded: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = read_folder(image_folder(stripes=BATCH_SIZE, dots=BATCH_SIZE))
    plan = plan_of(tiny_model, ("fc8",))
    trunk = Trunk(plan)
    function, calls = trunk._function("float32"), []

    def interrupted(pixels: np.ndarray) -> np.ndarray:
        calls.append(len(pixels))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return function(pixels)

    monkeypatch.setitem(trunk._functions, "float32", interrupted)
    with pytest.raises(KeyboardInterrupt), trunk.open_store() as store:
        trunk.compute(dict.fromkeys(dataset.records, views(1)), store)
    decoded.clear()
    compute(plan, dataset)
    assert len(decoded) == BATCH_SIZE


def test_a_damaged_store_is_computed_again(
    tiny_model: Model, image_folder: Callable[..., Path], decoded: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    dataset = read_folder(image_folder(stripes=3, dots=3))
    plan = plan_of(tiny_model, ("fc8",))
    first, _ = compute(plan, dataset)
    (segment,) = cache_folder().rglob("*.npy")
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    decoded.clear()
    with caplog.at_level(logging.WARNING):
        again, _ = compute(plan, dataset)
    assert f"{segment} in the cache of features is damaged; its features are computed again" in caplog.text
    assert len(decoded) == 6
    np.testing.assert_array_equal(first, again)
