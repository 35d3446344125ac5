"""Fixtures for several test files: the reference files, small weights, a small folder of images; and the quick loop."""

import itertools
import logging
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.quick_loop import TENSORFLOW_FILES, RefuseTensorFlow

from finetune.cli import app as cli
from finetune.data.textures import TEXTURES
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights

Finetune = Callable[..., tuple[int, str, str]]

_CACHE_NUMBERS = itertools.count()

TESTS = Path(__file__).parent
SHARED = TESTS.parents[1] / "shared"


def pytest_configure(config: pytest.Config) -> None:
    if "not tensorflow" in config.option.markexpr:
        sys.meta_path.insert(0, RefuseTensorFlow())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if "not tensorflow" in config.option.markexpr and collection_path in map(TESTS.joinpath, TENSORFLOW_FILES):
        return True
    return None


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path in map(TESTS.joinpath, TENSORFLOW_FILES):
            item.add_marker(pytest.mark.tensorflow)


@pytest.fixture
def shared() -> Path:
    """Return the folder of reference photos, weights and activations, which are too large for the repository."""
    if not SHARED.is_dir():
        pytest.skip("the reference files are not next to the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _quiet_logger() -> Iterator[None]:
    """Undo the logging set-up of a command under test."""
    logger = logging.getLogger("finetune")
    yield
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give every test its own cache, and keep it away from the user's weights and from the network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / f"cache-{next(_CACHE_NUMBERS)}"))
    monkeypatch.delenv("FINETUNE_WEIGHTS", raising=False)
    monkeypatch.setenv("FINETUNE_OFFLINE", "1")


@pytest.fixture
def finetune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Finetune:
    """Return a function that runs the command line in this process and returns exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["finetune", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[int], None]:
    """Return a function that makes stdout a terminal of that width, without colours."""

    def make(width: int) -> None:
        for name, value in (("TERM", "xterm"), ("NO_COLOR", "1"), ("COLUMNS", str(width)), ("LINES", "24")):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)

    return make


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    """An AlexNet for 67 × 67 pixels with 8 units in fc6 and fc7, random weights and three classes."""
    network = build("alexnet", {"num_classes": 3, "input_size": 67, "fc_units": 8})
    return Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=7), ("red", "green", "blue"))


@pytest.fixture(scope="session")
def tiny_weights(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a file with `tiny_model`."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, tiny_model)
    return path


@pytest.fixture
def break_png() -> Callable[[Path], None]:
    """Return a function that makes the pixels of a PNG undecodable; header and checksums stay valid."""

    def rewrite(path: Path) -> None:
        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        size = struct.pack(">II", 80, 72)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", size + bytes((8, 2, 0, 0, 0)))
            + chunk(b"IDAT", b"not zlib data")
            + chunk(b"IEND", b"")
        )

    return rewrite


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of textures: `image_folder(stripes=6, dots=4)`."""

    def write(folder: str = "images", **counts: int) -> Path:
        generator = np.random.default_rng(3)
        for name, count in counts.items():
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(count):
                image = cv2.resize(TEXTURES[name](generator), (80, 72))
                cv2.imwrite(str(tmp_path / folder / name / f"{number}.png"), image)
        return tmp_path / folder

    return write
