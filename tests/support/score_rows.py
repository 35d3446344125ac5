"""Rows of scores that several tests write, and how to write them without a `ResumableOutput`."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from finetune.prediction import Features, Prediction, Score
from finetune.scoring.formats import Format
from finetune.scoring.rows import ScoreRow
from finetune.scoring.score_options import ScoreOptions

GOOD = Prediction(
    Path("a,b.png"),
    (Score(2, "blue", 0.7), Score(0, "red", 0.2)),
    probabilities=np.array([0.2, 0.1, 0.7]),
)
BAD = Prediction("http://host/x.jpg", error="the server answers 404, expected 200")
UNSURE = Prediction(
    Path("-1+1.jpg"),
    (Score(0, "red", 0.4), Score(1, "green", 0.35)),
    abstained=True,
    probabilities=np.array([0.4, 0.35, 0.25]),
)
PREDICTIONS: list[ScoreRow] = [GOOD, BAD, UNSURE]
ALL_COLUMNS = ScoreOptions(top=2, probabilities=True, abstain_below=0.5)

FEATURES: list[ScoreRow] = [
    Features(Path("a.png"), {"fc7": np.arange(8, dtype=np.float32)}),
    Features(Path("na\udcffme.png"), error="the file is empty"),
    Features(Path("c.png"), {"fc7": np.full(8, 0.5, np.float32)}),
]


def write_rows(format: Format, out: Path, batches: list[list[ScoreRow]]) -> None:
    """Write rows as `ResumableOutput` does, without its state."""
    parts = [out.with_name(f"{name}.part") for name in format.names]
    with ExitStack() as stack:
        files = [stack.enter_context(part.open("wb")) for part in parts]
        format.start(files)
        first = 0
        for batch in batches:
            format.append(files, batch, first)
            first += len(batch)
    for name, part in zip(format.names, parts, strict=True):
        format.finish(part, out.with_name(name), sum(map(len, batches)))
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(format.names)
