"""Real full and read-only disks, mounted for the test: commands fail with one line and existing files stay.

Unlike in `test_limits.py`, the operating system itself refuses to write, so these tests need root and Linux.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.activation_files import random_layers, write_activations
from support.one_line import one_line
from support.readers import write_run

from finetune.runs.run import Run

Finetune = Callable[..., tuple[int, str, str]]
ImageFolder = Callable[..., Path]

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]


class Disk:
    """A tmpfs of 32 MB, mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filling = path / "filling"

    def fill(self, free: int) -> None:
        """Write a file that leaves `free` bytes, rounded down to pages of 4 kB."""
        available = shutil.disk_usage(self.path).free
        with self._filling.open("wb") as file:
            file.write(bytes(available - free))

    def make_room(self) -> None:
        self._filling.unlink()

    def make_read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", self.path], check=True)

    def contents(self) -> dict[str, bytes]:
        """Return path -> content of every file; a folder has empty content."""
        found = (path for path in self.path.rglob("*") if path != self._filling)
        return {str(path.relative_to(self.path)): path.read_bytes() if path.is_file() else b"" for path in found}


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "disk"
    path.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", path], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk needs root on Linux")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)  # feature files may still be memory-mapped


def earlier_result(disk: Disk, name: str) -> Path:
    """Write what an earlier command could have written under `name`, and return its path."""
    path = disk.path / name
    if name == "run":
        write_run(path)
    elif name == "export":
        path.mkdir()
        for file in ("README.md", "classes.txt"):
            (path / file).write_text("older")
    else:
        path.write_text("older")
    return path


COMMANDS = {  # command -> (where it writes, its arguments, the advice in the error)
    "train": ("run", "--data {data} --weights {weights} --epochs 1 --overwrite --out {out}", "choose another --out"),
    "report": ("run", "{out}", "fix that and run the same command again"),
    "score": ("rows.csv", "{data} --model {weights} --overwrite --out {out}", "fix that, or choose another --out"),
    "explain": (
        "new.png",
        "{image} --model {weights} --overwrite --out {out}",
        "fix that and run the same command again",
    ),
    "filters": ("new.png", "--model {weights} --overwrite --out {out}", "fix that and run the same command again"),
    "rdm": ("rdms.h5", "{acts} --overwrite --out {out}", "fix that and run the same command again"),
    "check": ("page.html", "{data} --overwrite --html {out}", "choose another place"),
    "weights convert": ("new.npz", "{weights} {out} --overwrite", "check {disk}"),
    "export --to npy": ("export", "{weights} --overwrite --out {out}", "export cannot be written"),
    "export --to keras": ("export", "{weights} --overwrite --out {out}", "export cannot be written"),
    "export --to saved_model": ("export", "{weights} --overwrite --out {out}", "export cannot be written"),
    "demo": ("demo", "--out {out}", "choose another --out"),
}


@pytest.mark.parametrize("fault", ["Read-only file system", "No space left on device"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_failed_command_leaves_existing_files_unchanged(
    command: str, fault: str, disk: Disk, finetune: Finetune, image_folder: ImageFolder, tiny_weights: Path
) -> None:
    name, arguments, advice = COMMANDS[command]
    data = image_folder(stripes=4, dots=4)
    out = earlier_result(disk, name) if name != "demo" else disk.path / "demo"
    before = disk.contents()
    disk.fill(0)
    if fault == "Read-only file system":
        disk.make_read_only()
    acts = write_activations(data.parent / "acts.h5", random_layers(4))
    paths = {"data": data, "image": data / "dots" / "0.png", "weights": tiny_weights, "acts": acts, "out": out}
    result = finetune(*command.split(), *(word.format(**paths) for word in arguments.split()))
    one_line(*result, fault)
    assert advice.format(disk=disk.path) in result[2].splitlines()[-1]
    assert disk.contents() == before


@pytest.fixture
def training(image_folder: ImageFolder, tiny_weights: Path) -> list[object]:
    return ["train", "--data", image_folder(stripes=4, dots=4), "--weights", tiny_weights, "--epochs", "1", "--out"]


def test_a_training_that_fills_the_disk_can_be_resumed(disk: Disk, finetune: Finetune, training: list[object]) -> None:
    """The disk has room for the first epoch but not for the model."""
    run = disk.path / "run"
    disk.fill(64 << 10)
    code, out, err = finetune(*training, run)
    one_line(code, out, err, f"fix that; continue with finetune train --resume {run}")
    assert not [path for path in run.rglob("*") if path.suffix == ".part" or path.name == "model.safetensors"]
    disk.make_room()
    assert finetune("train", "--resume", run)[0] == 0
    assert finetune(*training, "whole")[0] == 0
    names = {path.name for path in run.iterdir()}
    assert names == {path.name for path in Path("whole").iterdir()}
    for name in names & {"model.safetensors", "history.csv", "manifest.csv", "classes.txt", "plan.txt"}:
        assert (run / name).read_bytes() == Path("whole", name).read_bytes(), name


@pytest.mark.parametrize("free", [0, 4096, 8192, 12288, 16384, 20480])
def test_a_training_that_cannot_start_leaves_nothing(
    free: int, disk: Disk, finetune: Finetune, training: list[object]
) -> None:
    """Whichever of the first files does not fit, nothing is left that blocks the same command later."""
    disk.fill(free)
    one_line(*finetune(*training, disk.path / "run"), "No space left on device); choose another --out")
    assert disk.contents() == {}


def test_a_cache_that_is_read_only(
    disk: Disk, finetune: Finetune, training: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.make_read_only()
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk.path))
    code, _, err = finetune(*training, "run")
    assert code == 0
    assert f"the cache {disk.path / 'finetune'} cannot be written (Read-only file system); continuing without it" in err
    assert Run(Path("run")).metrics()["epochs"] == 1


def test_a_cache_that_is_full(
    disk: Disk, finetune: Finetune, training: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk.path))
    disk.fill(0)
    code, out, err = finetune(*training, "run")
    one_line(code, out, err, "No space left on device; fix that; continue with finetune train --resume run")
    assert not [path for path in disk.path.rglob("*") if path.suffix == ".part"]
    disk.make_room()
    assert finetune("train", "--resume", "run")[0] == 0


def test_scoring_is_resumed_when_there_is_room(
    disk: Disk, finetune: Finetune, image_folder: ImageFolder, tiny_weights: Path
) -> None:
    """The disk has room for the state and the features of a few images: conv1 of one image is 83 kB."""
    data = image_folder(stripes=4, dots=4)
    options = ["--model", tiny_weights, "--features", "conv1", "--batch-size", 1]
    out = disk.path / "rows.npy"
    disk.fill(400 << 10)
    one_line(
        *finetune("score", data, *options, "--out", out),
        f"the rows so far stay in {out}.partial; continue with --resume",
    )
    disk.make_room()
    assert finetune("score", data, *options, "--out", out, "--resume")[0] == 0
    assert finetune("score", data, *options, "--out", "whole.npy")[0] == 0
    assert out.read_bytes() == Path("whole.npy").read_bytes()
    assert set(disk.contents()) == {"rows.npy", "rows.npy.csv"}


def test_find_lr_writes_both_files_or_neither(disk: Disk, finetune: Finetune, training: list[object]) -> None:
    disk.fill(12288)
    one_line(*finetune(*training, disk.path / "run", "--find-lr"), "No space left on device; fix that and run the")
    assert disk.contents() == {"run": b""}
