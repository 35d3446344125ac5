"""`finetune weights`: what it prints, and nothing else on stdout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from finetune.cli.weights import app
from finetune.errors import FinetuneError, UsageError, WeightsError
from finetune.formats.read_weights import read_weights
from finetune.pretrained import fetch
from finetune.pretrained.catalogue import CATALOGUE
from finetune.pretrained.locate import find


def run(*arguments: str | Path) -> str:
    """Return what a command prints; raise what it raises."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, FinetuneError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_help_lists_the_commands() -> None:
    assert all(command in run() for command in ("list", "fetch", "inspect", "convert"))


def test_list(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/bvlc_alexnet.npy").touch()
    header, *rows = run("list").splitlines()
    assert header.split() == ["name", "network", "MB", "top-1", "top-5", "here", "digest", "licence"]
    assert [row.split()[0] for row in rows] == list(CATALOGUE)
    assert rows[0].split() == [
        "bvlc_alexnet",
        "alexnet",
        "244",
        "57.1",
        "80.2",
        "unverified",
        "9116a64c",
        "unrestricted",
        "use",
    ]
    assert rows[1].split()[5] == "-", "not on this machine"
    assert rows[-1].split() == ["starter", "alexnet", "16", "-", "-", "yes", "73fe00c1", "research,", "education"]
    assert {row.index("unrestricted") for row in rows[:2]} == {header.index("licence")}


def test_list_as_json(tmp_path: Path) -> None:
    entries = [json.loads(line) for line in run("list", "--json").splitlines()]
    assert [entry["name"] for entry in entries] == list(CATALOGUE)
    assert entries[0] == {
        "name": "bvlc_alexnet",
        "network": "alexnet",
        "num_classes": 1000,
        "bytes": 243_863_787,
        "digest": "sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
        "licence": "unrestricted use",
        "top1": 57.1,
        "top5": 80.2,
        "sources": [download.url for download in CATALOGUE["bvlc_alexnet"].downloads],
        "path": None,
        "unverified": None,
    }
    assert entries[-1]["path"].endswith("starter.safetensors")
    assert entries[-1]["unverified"] is None
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/bvlc_alexnet.npy").touch()
    assert json.loads(run("list", "--json").splitlines()[0])["unverified"] == "no digest of it is published"
    assert entries[-1]["digest"].startswith("sha256:73fe00c1")


def test_fetch_prints_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(fetch, "fetch", lambda name: (asked.append(name), Path("there.safetensors"))[1])
    assert run("fetch", "bvlc_alexnet") == "there.safetensors\n"
    assert asked == ["bvlc_alexnet"]


def test_fetch_offline_and_unknown() -> None:
    with pytest.raises(WeightsError, match="FINETUNE_OFFLINE is set"):
        run("fetch", "bvlc_alexnet")
    message = r"no published weights are called 'bvlc_alex' \(did you mean bvlc_alexnet\?\); the names are bvlc"
    with pytest.raises(UsageError, match=message):
        run("fetch", "bvlc_alex")


def test_inspect(tiny_weights: Path) -> None:
    lines = run("inspect", tiny_weights).splitlines()
    assert lines[0] == f"file      {tiny_weights}"
    assert "networks  alexnet" in lines
    assert "layers    conv1, conv2, conv3, conv4, conv5, fc6, fc7, fc8" in lines
    row = next(line for line in lines if line.startswith("conv2/kernel"))
    assert row.split()[1:3] == ["5×5×48×256", "float32"]


def test_inspect_a_file_named_like_published_weights(tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "starter.safetensors"
    path.write_bytes(tiny_weights.read_bytes())
    (line,) = [line for line in run("inspect", path).splitlines() if "starter (" in line]
    assert line.startswith("named like  starter (unverified: its digest begins with ")
    starter = find("starter")
    assert starter
    assert "named like  starter (verified)" in run("inspect", starter).splitlines()
    assert "named like" not in run("inspect", tiny_weights)


def test_inspect_as_json(tiny_weights: Path) -> None:
    (line,) = run("inspect", tiny_weights, "--json").splitlines()
    facts = json.loads(line)
    assert facts["networks"] == ["alexnet"]
    assert facts["tensors"][0]["name"] == "conv1/kernel"


def test_a_tensor_that_is_not_finite(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **{"fc8/kernel": np.float32([[1, np.nan]]), "fc8/bias": np.float32([1, 2])})
    rows = {
        line.split()[0]: line for line in run("inspect", tmp_path / "x.npz").splitlines() if line.startswith("fc8/")
    }
    assert rows["fc8/kernel"].count("not finite") == 3
    assert rows["fc8/bias"].split()[3:] == ["1", "2", "1.5"]


def test_convert(tiny_weights: Path, tmp_path: Path) -> None:
    target = tmp_path / "new.npz"
    assert run("convert", tiny_weights, target) == f"{target}\n"
    assert read_weights(target).format == "npz"
    with pytest.raises(WeightsError, match="--overwrite to replace it"):
        run("convert", tiny_weights, target)
    run("convert", tiny_weights, target, "--overwrite")
