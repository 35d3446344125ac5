"""`finetune benchmark`: what is counted, by hand and with made-up times; no test depends on the real speed."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from finetune.cli.benchmark import _report
from finetune.cli.benchmark import benchmark as command
from finetune.cli.terminal import show
from finetune.errors import DataError, FinetuneError, UsageError
from finetune.networks import NETWORKS, build
from finetune.networks import benchmark as module
from finetune.networks.benchmark import BURN_IN, MATRIX_PRODUCTS, MATRIX_SIDE, Benchmark, Timing, benchmark, timing
from finetune.networks.compiled import Compiled
from finetune.networks.forward import forward, normalize
from finetune.networks.initialize import fresh_weights

SMALL = {
    "alexnet": {"input_size": 67, "fc_units": 8, "num_classes": 3},
    "caffenet": {"input_size": 67, "fc_units": 8, "num_classes": 3},
    "alexnet-owt": {"input_size": 67, "fc_units": 8, "num_classes": 3},
    "alexnet-book": {"input_size": 67},
    "alexnet-bn": {"input_size": 67, "fc_units": 8, "num_classes": 3},
    "alexnet-mnist": {"fc_units": 8},
    "vgg16": {"input_size": 32, "fc_units": 8, "num_classes": 3},
}


def run(*arguments: str | Path) -> str:
    """Return the output of the command; raise its errors."""
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, FinetuneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def let_time_pass(monkeypatch: pytest.MonkeyPatch, seconds: Callable[[int], float]) -> list[object]:
    """Pretend that the n-th measured call takes seconds(n); return the list of the calls' results."""
    results: list[object] = []

    def elapsed(call: Callable[[], object]) -> float:
        results.append(call())
        return seconds(len(results) - 1)

    monkeypatch.setattr(module, "_elapsed", elapsed)
    return results


def test_timing_by_hand() -> None:
    measured = timing([0.1, 0.2, 0.3], batch_size=4, operations=8 * 10**9)
    assert measured.ms_mean == pytest.approx(200)
    assert measured.ms_std == pytest.approx(1000 * math.sqrt((0.01 + 0 + 0.01) / 3))
    assert (measured.images_per_second, measured.gflops) == pytest.approx((20, 40))


def test_burn_in_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = MATRIX_PRODUCTS + BURN_IN  # before the first batch that counts
    results = let_time_pass(monkeypatch, lambda n: 1 + n / 10 if n < MATRIX_PRODUCTS else 0.5 if n >= calls else 99)
    network = build("alexnet", SMALL["alexnet"])
    monkeypatch.setattr(module, "forward_backward", lambda *_: len)  # its time is made up anyway
    measured = benchmark(network, batch_size=2, batches=3)
    assert len(results) == MATRIX_PRODUCTS + 2 * (BURN_IN + 3)
    assert measured.matmul_gflops == pytest.approx(2 * MATRIX_SIDE**3 / 1e9)  # the best took 1 s
    multiply_adds = sum(step.layer.multiply_adds(step.input_shape) for step in network.steps())
    assert measured.forward == Timing(500, 0, 4, pytest.approx(2 * 2 * multiply_adds / 0.5 / 1e9))
    assert measured.forward_backward.gflops == pytest.approx(3 * measured.forward.gflops)


def test_a_line_for_every_tenth_batch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """With the time of day and its own seconds, as alexnet_benchmark.py; the warm-up has none."""
    let_time_pass(monkeypatch, lambda n: (n + 1) / 1000)
    monkeypatch.setattr(module, "forward_backward", lambda *_: len)
    with caplog.at_level("DEBUG", "finetune"):
        benchmark(build("alexnet", SMALL["alexnet"]), batch_size=1, batches=21)
    lines = [record.getMessage() for record in caplog.records if "step" in record.getMessage()]
    time_of_day = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?: "
    assert all(re.match(time_of_day, line) for line in lines)
    assert [re.sub(time_of_day, "", line) for line in lines] == [
        "forward, step 0, duration = 0.021",  # after 10 matrix products and 10 batches to warm up
        "forward, step 10, duration = 0.031",
        "forward, step 20, duration = 0.041",
        "forward-backward, step 0, duration = 0.052",
        "forward-backward, step 10, duration = 0.062",
        "forward-backward, step 20, duration = 0.072",
    ]
    caplog.clear()
    with caplog.at_level("INFO", "finetune"):
        benchmark(build("alexnet", SMALL["alexnet"]), batch_size=1, batches=1)
    assert not any("step" in record.getMessage() for record in caplog.records)


def test_a_small_batch_is_not_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere, a batch is padded to one of 32 images; a benchmark of 2 images would take as long as one of 32."""
    computed = []

    class Recorded(Compiled):
        @cached_property
        def _compute(self) -> Callable[[Any], dict[str, Any]]:
            compute = super()._compute
            return lambda pixels: computed.append(len(pixels)) or compute(pixels)  # type: ignore[func-returns-value]

    monkeypatch.setattr(module, "Compiled", Recorded)
    monkeypatch.setattr(module, "MATRIX_SIDE", 8)
    benchmark(build("alexnet", SMALL["alexnet"]), batch_size=2, batches=1)
    assert set(computed) == {2}


def test_report(capsys: pytest.CaptureFixture[str]) -> None:
    measured = Benchmark("alexnet", 32, "bfloat16", 200.0, Timing(150.04, 2.5, 213.3, 150.0), Timing(500, 0, 64, 50.0))
    show(*_report(measured, 100, "bfloat16"))
    assert capsys.readouterr().out.splitlines() == [
        "alexnet, 100 batches of 32, bfloat16; a matrix product reaches 200.0 GFLOP/s",
        "",
        "                  ms per batch  images/s  GFLOP/s  of a matrix product",
        "forward            150.0 ± 2.5     213.3    150.0                 75 %",
        "forward-backward   500.0 ± 0.0      64.0     50.0                 25 %",
        "",
        "mean ± standard deviation; a multiply-add counts as 2 operations, backward as 2 × forward",
    ]
    show(*_report(measured, 100, "auto"))
    rows = capsys.readouterr().out.splitlines()
    assert rows[4].split() == ["forward-backward,", "float32", "500.0", "±", "0.0", "64.0", "50.0"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_as_json(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURN_IN", 1)
    monkeypatch.setattr(module, "MATRIX_SIDE", 8)
    monkeypatch.setattr("finetune.networks.build", lambda name: build(name, SMALL[name]))
    measured: dict[str, Any] = json.loads(run(name, "--batches", "1", "--batch-size", "2", "--json"))
    assert list(measured) == [
        "network",
        "batch_size",
        "precision",
        "matmul_gflops",
        "forward",
        "forward_backward",
    ]
    assert (measured["network"], measured["batch_size"], measured["precision"]) == (name, 2, "float32")
    assert measured["matmul_gflops"] > 0
    for kind in ("forward", "forward_backward"):
        assert list(measured[kind]) == ["ms_mean", "ms_std", "images_per_second", "gflops"]
        assert all(isinstance(value, float) for value in measured[kind].values())
        assert measured[kind]["ms_mean"] > 0
        assert measured[kind]["ms_std"] == 0  # of one batch


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "alexnet-bn"])
def test_gradients_of_all_weights_in_bfloat16(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURN_IN", 0)
    monkeypatch.setattr(module, "MATRIX_SIDE", 8)
    results = let_time_pass(monkeypatch, lambda _: 1.0)
    measured = benchmark(build(name, SMALL[name]), batch_size=2, batches=1, precision="bfloat16")
    assert measured.precision == "bfloat16"
    assert str(np.asarray(results[-1]).dtype) == "bfloat16"


def test_forward_backward_takes_the_gradient_of_half_the_sum_of_squares() -> None:
    """The sum of one value of each gradient, computed here from the definition."""
    import tensorflow as tf

    network = build("alexnet-mnist", SMALL["alexnet-mnist"])
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=3)
    pixels = np.random.default_rng(0).integers(0, 256, (2, *network.input_shape), np.uint8)
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    with tf.GradientTape() as tape:
        seed = tf.constant(0, tf.int64)
        outputs = forward(network.layers, variables, normalize(network.preprocessing, pixels), seed=seed)
        objective = tf.reduce_sum(outputs**2) / 2
    expected = sum(float(tf.reshape(g, [-1])[0]) for g in tape.gradient(objective, list(variables.values())))
    assert module.forward_backward(network, weights, "float32")(pixels) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_batches_from_files(image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURN_IN", 1)
    monkeypatch.setattr(module, "MATRIX_SIDE", 8)
    monkeypatch.setattr("finetune.networks.build", lambda name: build(name, SMALL[name]))
    seen: list[Path] = []
    read = module.read_input
    monkeypatch.setattr(module, "read_input", lambda path, how: seen.append(path) or read(path, how))
    folder = image_folder(stripes=3, dots=2)
    run("alexnet", "--batches", "2", "--batch-size", "4", "--from-files", folder)
    assert len(seen) == 2 * (1 + 2) * 4  # forward and forward-backward, burn-in and two batches of four
    assert set(seen) == set(folder.rglob("*.png"))


def test_errors(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no network 'alexnat' \(did you mean alexnet\?\)"):
        run("alexnat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no images; name a folder of images, or omit --from-files"):
        run("alexnet-mnist", "--from-files", tmp_path / "empty")
    folder = image_folder(stripes=1)
    (folder / "stripes" / "0.png").write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"0\.png cannot be read: not an image.*; remove it from the folder"):
        run("alexnet-mnist", "--from-files", folder)


def test_wrong_network_needs_no_tensorflow() -> None:
    script = "import sys; from finetune.cli.benchmark import benchmark\n"
    script += "try: benchmark('alexnat')\nexcept Exception: sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
