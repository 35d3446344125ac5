"""`finetune demo`: the whole job on a small folder of drawn textures."""

from pathlib import Path
from typing import Annotated

import typer

from finetune.cli.options import Verbose
from finetune.system.text import percent


def demo(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the drawn images and the run; it must not exist.")
    ] = Path("finetune-demo"),
    verbose: Verbose = False,
) -> None:
    """Draw a few images, train on them, and classify another one.

    Takes less than a minute and downloads nothing.

    Examples:
      finetune demo
      finetune demo --out demo
    """
    run_demo(out)


def run_demo(out: Path, seed: int = 0) -> None:
    """Draw images below `out`, train on them with the starter, classify a held-out one, and print each step.

    Raises RunError if `out` already has the images.
    """
    from finetune.classifier import load
    from finetune.config import TrainConfig
    from finetune.data.textures import PER_CLASS, TEXTURES, draw_folder
    from finetune.training.train import train

    images, run, held_out = out / "images", out / "run", out / "held-out.png"
    draw_folder(images, held_out, seed)
    print(f"drew {PER_CLASS} images each of {', '.join(TEXTURES)} into {images}")
    metrics = train(TrainConfig(data=images, out=run, weights="starter")).metrics()
    print(
        f"fitted a linear probe on {metrics['probe']}: accuracy {percent(metrics['val_accuracy'])}, on images held out "
        "in turn"
    )
    (prediction,) = load(str(run)).predict([held_out], top=1)
    best = prediction.scores[0]
    print(f"{held_out} shows waves; the model predicts {best.label} ({percent(best.probability)})")
    print("\nOn your own images, in one folder per class:")
    print("  finetune train --data YOUR_FOLDER --out runs/mine")
    print("  finetune predict IMAGE --model runs/mine")
