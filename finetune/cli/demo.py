"""`finetune demo`: the whole job on a small folder of drawn textures."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from finetune.classifier import load
from finetune.config import TrainConfig
from finetune.data.channels import Image
from finetune.errors import RunError
from finetune.training.train import train

SIDE = 240  # pixels
PER_CLASS = 30

Generator = np.random.Generator


def run_demo(out: Path, seed: int = 0) -> None:
    """Draw pictures below `out`, fine-tune fc8 of the starter on them, predict a held-out one, and tell it on stdout.

    Raises RunError when `out` exists.
    """
    pictures, run, held_out = out / "pictures", out / "run", out / "held-out.png"
    draw_folder(pictures, held_out, seed)
    print(f"drew {PER_CLASS} pictures each of {', '.join(TEXTURES)} into {pictures}")
    metrics = train(
        TrainConfig(data=pictures, out=run, weights="starter", skip=("fc8",), epochs=20, seed=seed)
    ).metrics()
    print(f"trained fc8 of the starter weights: validation accuracy {metrics['val_accuracy']:.1%}")
    (prediction,) = load(str(run)).predict([held_out], top=1)
    print(
        f"{held_out} shows waves; the model says {prediction.scores[0].label} ({prediction.scores[0].probability:.1%})"
    )
    print("\nOn your own pictures, a folder per class:")
    print("  finetune train --data YOUR_FOLDER --out runs/mine")
    print("  finetune predict PICTURE --model runs/mine")


def draw_folder(pictures: Path, held_out: Path, seed: int) -> None:
    """Write PER_CLASS pictures of every texture, a folder each, and one more of waves to `held_out`."""
    try:
        pictures.mkdir(parents=True)
    except FileExistsError:
        raise RunError(f"{pictures} exists already; choose another --out") from None
    except OSError as error:
        raise RunError(f"{pictures} cannot be made ({error.strerror}); choose another --out") from None
    generator = np.random.default_rng(seed)
    try:
        for name, draw in TEXTURES.items():
            (pictures / name).mkdir()
            for number in range(PER_CLASS):
                _write(pictures / name / f"{number:02}.png", draw(generator))
        _write(held_out, waves(generator))
    except BaseException as error:  # Ctrl-C too: what is there would be in the way of a second try
        shutil.rmtree(pictures, ignore_errors=True)
        held_out.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files lie in it
            pictures.parent.rmdir()
        if isinstance(error, OSError):
            raise RunError(f"{pictures} cannot be written ({error.strerror}); choose another --out") from None
        raise


def stripes(generator: Generator) -> Image:
    """Return straight stripes of any direction."""
    return _between(generator, np.sin(_distance(generator) * generator.uniform(0.15, 0.5)) > 0)


def checks(generator: Generator) -> Image:
    """Return a chessboard of squares, turned a little."""
    angle, size = generator.uniform(-0.3, 0.3), generator.uniform(12, 30)
    x, y = _grid()
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return _between(generator, (np.floor(u / size) + np.floor(v / size)) % 2 == 0)


def dots(generator: Generator) -> Image:
    """Return discs scattered over the picture."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    for _ in range(generator.integers(20, 60)):
        center = generator.integers(0, SIDE, 2).tolist()
        cv2.circle(canvas, center, int(generator.integers(5, 15)), 1, -1)
    return _between(generator, canvas > 0)


def waves(generator: Generator) -> Image:
    """Return rings around a point, as on water."""
    x, y = _grid()
    center = generator.uniform(0, SIDE, 2)
    radius = np.hypot(x - center[0], y - center[1])
    return _between(generator, np.sin(radius * generator.uniform(0.2, 0.5)) > 0)


TEXTURES: dict[str, Callable[[Generator], Image]] = {"checks": checks, "dots": dots, "stripes": stripes, "waves": waves}


def _grid() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    return x, y


def _distance(generator: Generator) -> np.ndarray:
    """Return every pixel's distance from a line of random direction."""
    angle = generator.uniform(0, np.pi)
    x, y = _grid()
    distance: np.ndarray = x * np.cos(angle) + y * np.sin(angle)
    return distance


def _between(generator: Generator, mask: np.ndarray) -> Image:
    """Return a picture of two random colours, one where `mask` holds, with some noise."""
    dark, light = generator.uniform(0, 110, 3), generator.uniform(145, 255, 3)
    picture = np.where(mask[..., None], dark, light) + generator.normal(0, 12, (SIDE, SIDE, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _write(path: Path, picture: Image) -> None:
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
