"""`finetune summary`: the numbers that courses derive by hand."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from finetune.cli.summary import summary
from finetune.errors import FinetuneError, RunError, UsageError, WeightsError
from finetune.formats.npy_file import write_npy
from finetune.formats.read_weights import read_weights


def run(*arguments: str | Path) -> str:
    """Return what the command prints; raise what it raises."""
    app = typer.Typer()
    app.command()(summary)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, FinetuneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def layers(printed: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}


def test_vgg16_as_courses_have_it() -> None:
    rows = layers(run("vgg16"))
    assert rows["conv1_1"] == [
        *("Conv", "224×224×3", "224×224×64", "3", "1", "3,211,264"),
        *("1,728", "1,792", "86,704,128", "12,845.1", "kB"),
    ]
    assert rows["pool1"] == ["MaxPool", "224×224×64", "112×112×64", "6", "2", "0", "0", "0", "3,211.3", "kB"]
    assert rows["fc6"][2:6] == ["4096", "404", "4,096", "102,760,448"]  # a fully connected layer has no stride
    assert rows["total"][:2] == ["13,556,712", "138,357,544"]


def test_a_terminal_of_80_columns(terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]) -> None:
    """VGG16 has the longest numbers; input, kind, kernel and activations are left to --json and to files."""
    terminal(80)
    summary("vgg16")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    header = next(line for line in lines if line.startswith("layer"))
    assert header.split() == ["layer", "output", "field", "stride", "neurons", "parameters", "multiply-adds"]


def test_what_cannot_be_trained() -> None:
    last = run("alexnet-bn").splitlines()[-2]
    assert last == "62,381,096 trainable and 2,752 non-trainable parameters"


def test_as_json() -> None:
    costs: dict[str, Any] = json.loads(run("alexnet", "--json"))
    assert (costs["parameters"], costs["trainable_parameters"]) == (60_965_224, 60_965_224)
    assert costs["multiply_adds"] == 724_406_816
    first, last = costs["layers"][0], costs["layers"][-1]
    assert (first["input_shape"], first["output_shape"]) == ([227, 227, 3], [55, 55, 96])
    assert (first["receptive_field"], first["stride"], first["neurons"]) == (11, 4, 290_400)
    assert (last["receptive_field"], last["stride"], last["neurons"]) == (355, None, 1_000)
    costs = json.loads(run("alexnet-bn", "--json"))
    assert costs["trainable_parameters"] == 62_383_848 - 2_752
    assert costs["non_trainable_parameters"] == 2_752


def test_run_and_file(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(tiny_weights.read_bytes())
    printed = run(tmp_path)
    assert printed == run(tiny_weights)
    assert printed.startswith("alexnet (num_classes 3, input_size 67, fc_units 8), input 67×67×3, for one image\n")
    assert layers(printed)["fc8"][:3] == ["Dense", "8", "3"]


def test_file_that_fits_two_networks(tiny_weights: Path, tmp_path: Path) -> None:
    write_npy(tmp_path / "tiny.npy", read_weights(tiny_weights).tensors)
    with pytest.raises(WeightsError, match="choose with --network alexnet or --network caffenet"):
        run(tmp_path / "tiny.npy")
    assert run(tmp_path / "tiny.npy", "--network", "caffenet").startswith("caffenet (num_classes 3")


def test_a_network_and_another_one() -> None:
    with pytest.raises(UsageError, match=r"^vgg16 is a network, and --network alexnet another; omit --network$"):
        run("vgg16", "--network", "alexnet")


def test_an_argument_that_is_none_of_them(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'alexnat' is not a network \(did you mean alexnet\?\), run directory or weights file"
    ):
        run("alexnat")
    with pytest.raises(RunError, match=r"has no model\.safetensors: expected a run directory"):
        run(tmp_path)


def test_needs_no_tensorflow(tiny_weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(tiny_weights.read_bytes())
    script = "import sys; from finetune.cli.summary import summary; summary(sys.argv[1])"
    script += "; sys.exit('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
