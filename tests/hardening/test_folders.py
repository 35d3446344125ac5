"""Unusual folders and names: pipes, devices, very deep folders, and names that are not valid text."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.runs import started

from finetune.check.check import check
from finetune.data.folder import files_below, image_files
from finetune.data.idx import numbered_image
from finetune.data.images import read_bytes
from finetune.data.inputs import expand
from finetune.data.read_data import read_data
from finetune.errors import DataError, ImageError
from finetune.runs.read_run import read_dataset
from finetune.runs.run import Run


@pytest.fixture
def nested(image_folder: Callable[..., Path]) -> Iterator[Callable[[int], Path]]:
    """Return a function that nests `depth` folders inside a class folder and returns the data folder."""
    data = image_folder(stripes=4, dots=4)

    def make(depth: int) -> Path:
        here = os.open(data / "dots", os.O_RDONLY)  # one folder at a time, because the length of a path is limited
        for _ in range(depth):
            os.mkdir("d", dir_fd=here)
            deeper = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = deeper
        os.close(here)
        return data

    yield make
    subprocess.run(["rm", "-rf", data], check=True)  # shutil.rmtree would exceed the recursion limit


def test_1500_nested_folders(nested: Callable[[int], Path]) -> None:
    """Deeper than the recursion limit of Python."""
    data = nested(1500)
    deep = data / "dots" / Path(*["d"] * 1500) / "0.png"
    (data / "dots" / "0.png").rename(deep)
    assert deep in list(image_files(data / "dots"))
    assert len(read_data(data).records) == 8
    assert len(check(data).looks) == 8


@pytest.mark.slow  # removing them can take half a minute on a busy machine
def test_10000_nested_folders(nested: Callable[[int], Path]) -> None:
    """Deeper than the longest possible path: an error of one line."""
    data = nested(10_000)
    with pytest.raises(DataError, match=r"dots/d/d/.* cannot be opened \(File name too long\)") as caught:
        read_data(data)
    assert len(str(caught.value)) < 400
    with pytest.raises(DataError, match="File name too long"):
        list(expand([str(data)]))


def test_a_folder_that_cannot_be_entered(image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its images must not be missing silently. Simulated, because root may enter every folder."""
    data = image_folder(stripes=4, dots=4)
    locked = data / "dots" / "locked"
    locked.mkdir()
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if path == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=rf"{locked} cannot be opened \(Permission denied\); fix that or move"):
        read_data(data)


def test_a_pipe_among_the_images(image_folder: Callable[..., Path]) -> None:
    """Nothing writes into it, so opening it would block forever."""
    data = image_folder(stripes=4, dots=4)
    os.mkfifo(data / "dots" / "pipe.png")
    os.mkfifo(data / "dots" / "pipe")
    assert len(read_data(data).records) == 8
    with pytest.raises(ImageError, match=r"^not a regular file; pass an image file$"):
        read_bytes(data / "dots" / "pipe.png")
    assert sum(finding.kind == "passed-over" for finding in check(data).findings) == 2


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/random"])
def test_devices(device: str) -> None:
    with pytest.raises(ImageError, match="not a regular file"):
        read_bytes(Path(device))
    with pytest.raises(DataError, match=f"expected a folder or list of images, but {device} is a device or a socket"):
        read_data(Path(device))


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """A sparse file of 3 GB, which takes no space on disk but would in memory."""
    path = tmp_path / "large.bmp"
    with path.open("wb") as file:
        file.write(b"BM")
        file.truncate(3 << 30)
    with pytest.raises(ImageError, match=r"^larger than the limit of 1024 MB; shrink it$"):
        read_bytes(path)


def test_a_name_with_a_nul() -> None:
    with pytest.raises(ImageError, match=r"cannot be opened \(invalid file name\)"):
        read_bytes(Path("a\0b.png"))


@pytest.mark.parametrize("name", [".#1", "..#1", "#1", f"{'a' * 255}#1", "a#99999999999"])
def test_names_that_look_like_numbered_images(name: str, tmp_path: Path) -> None:
    assert numbered_image(tmp_path / name) is None


NAMES = [
    b"line\nbreak.png",
    b"\xff\xfe.png",
    b"n" * 251 + b".png",
    b"=1+1.png",
    b"-rf.png",
    b"tab\t,\"quote'.png",
    b"\r.png",
]


def test_every_name_that_linux_allows(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """Names are the same after they were written to and read from the files of a run."""
    data = image_folder(stripes=8, dots=8)
    for number, name in enumerate(NAMES):
        (data / "dots" / f"{number}.png").rename(os.fsdecode(bytes(data / "dots") + b"/" + name))
    dataset = read_data(data)
    assert len(dataset.records) == 16
    run = Run(tmp_path / "run")
    started(run.path, {}, dataset)
    restored = read_dataset(run)
    assert [record[:3] for record in restored.records] == [record[:3] for record in dataset.records]
    names = {os.fsencode(record.path.name) for record in read_data(run.path / "manifest.csv").records}
    assert names >= set(NAMES)


@pytest.mark.parametrize("name", ["a\nb", "a\rb"])
def test_a_class_with_a_line_break(image_folder: Callable[..., Path], name: str) -> None:
    data = image_folder(stripes=4, dots=4)
    (data / "dots").rename(data / name)
    with pytest.raises(DataError, match=r"class 'a\\.b' has a line break in its name, .*; rename it"):
        read_data(data)


def test_files_below_are_in_a_fixed_order(tmp_path: Path) -> None:
    """First the files of a folder, then those of its subfolders; hidden ones are skipped."""
    for name in ("b/2", "b/1", "a/c/3", "z", "y", ".git/x", "a/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)]
    assert found == ["y", "z", "a/c/3", "b/1", "b/2"]
