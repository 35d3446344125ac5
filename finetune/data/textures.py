"""Drawn textures: four classes of images for `finetune demo` and for the tests, so that neither needs a download."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from finetune.data.channels import Image
from finetune.errors import RunError

SIZE = 240  # pixels of each edge: a little more than the 227 that AlexNet sees
PER_CLASS = 30  # enough for fc8 to learn the four classes, in seconds

Generator = np.random.Generator


def draw_folder(images: Path, held_out: Path, seed: int) -> None:
    """Write PER_CLASS images of every texture to `images`, a folder for each, and one more of waves to `held_out`.

    All are PNG files of SIZE × SIZE pixels; the same seed draws the same pixels. Raises RunError if `images` exists
    or cannot be written; then nothing that was drawn stays.
    """
    try:
        images.mkdir(parents=True)
    except FileExistsError:
        raise RunError(f"{images} already exists; choose another --out") from None
    except OSError as error:
        raise RunError(f"{images} cannot be created ({error.strerror}); choose another --out") from None
    generator = np.random.default_rng(seed)
    try:
        for name, draw in TEXTURES.items():
            (images / name).mkdir()
            for number in range(PER_CLASS):
                _write(images / name / f"{number:02}.png", draw(generator))
        _write(held_out, waves(generator))
    except BaseException as error:  # Ctrl-C too: half a folder would block a second try
        shutil.rmtree(images, ignore_errors=True)
        held_out.unlink(missing_ok=True)
        with suppress(OSError):  # the parent holds other files
            images.parent.rmdir()
        if isinstance(error, OSError):
            raise RunError(f"{images} cannot be written ({error.strerror}); choose another --out") from None
        raise


def stripes(generator: Generator) -> Image:
    """Return straight stripes in any direction."""
    return _colour(generator, np.sin(_distance(generator) * generator.uniform(0.15, 0.5)) > 0)


def checks(generator: Generator) -> Image:
    """Return a slightly rotated chessboard."""
    angle, size = generator.uniform(-0.3, 0.3), generator.uniform(12, 30)
    x, y = _grid()
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return _colour(generator, (np.floor(u / size) + np.floor(v / size)) % 2 == 0)


def dots(generator: Generator) -> Image:
    """Return discs scattered over the image."""
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    for _ in range(generator.integers(20, 60)):
        center = generator.integers(0, SIZE, 2).tolist()
        cv2.circle(canvas, center, int(generator.integers(5, 15)), 1, -1)
    return _colour(generator, canvas > 0)


def waves(generator: Generator) -> Image:
    """Return rings around a point, like ripples on water."""
    x, y = _grid()
    center = generator.uniform(0, SIZE, 2)
    radius = np.hypot(x - center[0], y - center[1])
    return _colour(generator, np.sin(radius * generator.uniform(0.2, 0.5)) > 0)


TEXTURES: dict[str, Callable[[Generator], Image]] = {"checks": checks, "dots": dots, "stripes": stripes, "waves": waves}


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of every pixel, float64 (SIZE, SIZE) each."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    return x, y


def _distance(generator: Generator) -> np.ndarray:
    """Return the distance of every pixel from a line in a random direction."""
    angle = generator.uniform(0, np.pi)
    x, y = _grid()
    distance: np.ndarray = x * np.cos(angle) + y * np.sin(angle)
    return distance


def _colour(generator: Generator, mask: np.ndarray) -> Image:
    """Return an image of two random colours, the darker one where `mask` is true, with a little noise."""
    dark, light = generator.uniform(0, 110, 3), generator.uniform(145, 255, 3)
    image = np.where(mask[..., None], dark, light) + generator.normal(0, 12, (SIZE, SIZE, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


def _write(path: Path, image: Image) -> None:
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
