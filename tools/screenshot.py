"""Write docs/report.png: the first screen of the report of the run in the README, on drawn images.

    python tools/screenshot.py

Needs chromium on the PATH.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from finetune import TrainConfig, train
from finetune.data.textures import draw_folder

IMAGE = Path(__file__).parents[1] / "docs" / "report.png"
WIDTH, HEIGHT = 1280, 830  # the height ends after the most wrong images
COLOURS = 192  # of the palette; the file is then well below MOST_BYTES, and nobody sees a difference
MOST_BYTES = 200_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Draw the images of `finetune demo`, train as the README does, and photograph the report."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"expected a browser on the PATH ({', '.join(BROWSERS)}), but found none; install chromium")
    with tempfile.TemporaryDirectory() as folder:
        images, run = Path(folder, "images"), Path(folder, "textures")
        draw_folder(images, Path(folder, "held-out.png"), seed=0)
        train(TrainConfig(data=images, weights="starter", out=run))
        page = run / "report.html"
        page.write_text(public(page.read_text("utf-8"), folder), "utf-8")
        shot = Path(folder, "shot.png")
        photograph(browser, page, shot)
        palette(shot)
    if IMAGE.stat().st_size > MOST_BYTES:
        sys.exit(f"expected at most {MOST_BYTES:,} bytes, but {IMAGE} has {IMAGE.stat().st_size:,}; lower COLOURS")


def public(page: str, folder: str) -> str:
    """Return the page without the name of this machine's kernel and of the temporary folder."""
    return re.sub(r"(system \w+)-[\w.+-]+", r"\1", page).replace(f"{folder}/", "")


def photograph(browser: str, page: Path, shot: Path) -> None:
    """Write what the browser shows of the page, in its light scheme."""
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
    subprocess.run(
        [browser, *options, f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", page.as_uri()],
        check=True,
        capture_output=True,
    )


def palette(shot: Path) -> None:
    """Write the screenshot to the repository with a palette."""
    pixels = cv2.imread(str(shot))[:HEIGHT, :WIDTH, ::-1]
    image = Image.fromarray(np.ascontiguousarray(pixels)).quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(IMAGE, optimize=True)


if __name__ == "__main__":
    main()
