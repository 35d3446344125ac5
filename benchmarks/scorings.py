"""The part of the comparison that scores files with the whole program: all layers, against classes alone."""

import sys
from collections.abc import Iterator

from program import Run, run
from setting import FULL, Line, Setting
from trainings import linked


def layers(setting: Setting) -> Iterator[Line]:
    few, many = setting.images
    few_peak = _score(setting, few, "acts.h5", "--features", "all").megabytes
    took = setting.take_turns(
        {
            "classes": lambda: _score(setting, many, "rows.jsonl"),
            "layers": lambda: _score(setting, many, "acts.h5", "--features", "all"),
        }
    )
    ours, theirs = took["layers"], took["classes"]
    ratio, growth = f"{ours.seconds / theirs.seconds:.2f}×", f"{ours.megabytes - few_peak:+.0f} MB"
    what = f"score --features all --out acts.h5, {many:,} images"
    yield Line(what, str(ours), "score --out rows.jsonl", str(theirs), ratio, "≤ 1.5×")
    yield Line("peak memory of it", f"{ours.megabytes:.0f} MB", f"{few:,} images", f"{few_peak:.0f} MB", growth, "")


def _score(setting: Setting, images: int, out: str, *options: str) -> Run:
    """Score links to the photos with AlexNet and delete what it writes: all layers of 1,000 images are 5 GB."""
    folder = setting.folder / f"images-{images}"
    if not folder.exists():
        linked(setting.photos, folder, images)
    model, file = f"{setting.prefix(FULL)}.safetensors", setting.folder / out
    command = [sys.executable, "-m", "finetune", "score", folder, "--model", model, "--out", file, *options]
    measured = run(command, setting.environment)
    file.unlink()
    return measured
