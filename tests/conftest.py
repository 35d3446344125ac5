"""What several tests need: reference files where they are, small weights and a small folder of pictures."""

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.cli import app as cli
from finetune.cli.demo import TEXTURES
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights

Finetune = Callable[..., tuple[int, str, str]]

SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture
def shared() -> Path:
    """Reference photos, weights and activations that are too large for the repository."""
    if not SHARED.is_dir():
        pytest.skip("the reference files are not beside the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _quiet_logger() -> Iterator[None]:
    """Undo what a command line under test set up."""
    logger = logging.getLogger("finetune")
    yield
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _own_places(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the user's cache and weights out of the tests, and the network too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("FINETUNE_WEIGHTS", raising=False)
    monkeypatch.setenv("FINETUNE_OFFLINE", "1")


@pytest.fixture
def finetune(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Finetune:
    """Return a function that runs the command line here and gives exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["finetune", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    """An AlexNet of 67 pixels with 8 units in fc6 and fc7, random weights and three classes."""
    network = build("alexnet", {"num_classes": 3, "input_size": 67, "fc_units": 8})
    return Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=7), ("red", "green", "blue"))


@pytest.fixture(scope="session")
def tiny_weights(tiny_model: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of `tiny_model`."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_model(path, tiny_model)
    return path


@pytest.fixture
def break_png() -> Callable[[Path], None]:
    """Return a function that fills a PNG with pixels that do not unpack; its header and checksums stay sound."""

    def rewrite(path: Path) -> None:
        def chunk(kind: bytes, content: bytes) -> bytes:
            return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

        size = struct.pack(">II", 80, 72)
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", size + bytes((8, 2, 0, 0, 0)))
            + chunk(b"IDAT", b"no zlib data")
            + chunk(b"IEND", b"")
        )

    return rewrite


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a folder of textures: `pictures(stripes=6, dots=4)`."""

    def write(folder: str = "pictures", **counts: int) -> Path:
        generator = np.random.default_rng(3)
        for name, count in counts.items():
            (tmp_path / folder / name).mkdir(parents=True)
            for number in range(count):
                picture = cv2.resize(TEXTURES[name](generator), (80, 72))
                cv2.imwrite(str(tmp_path / folder / name / f"{number}.png"), picture)
        return tmp_path / folder

    return write
