"""Sort a folder of pictures by what a model sees in them, and name those it is not sure of.

    python batch_score.py PICTURES [MODEL]

MODEL is a run directory, a model or weights file, or a name such as starter. Every picture gives one line of
tab-separated values: probability, label, path. What the model is less than 60 % sure of is labelled `?`.
"""

import sys
from pathlib import Path

import finetune


def main(pictures: str, model: str | None = None) -> int:
    """Print one line for every picture below a folder; return how many could not be read."""
    paths = sorted(path for path in Path(pictures).rglob("*") if path.is_file())
    unreadable = 0
    for prediction in finetune.load(model).predict(paths, top=1, abstain_below=0.6):
        if prediction.error is not None:
            print(f"{prediction.path}: {prediction.error}", file=sys.stderr)
            unreadable += 1
            continue
        (score,) = prediction.scores
        print(f"{score.probability:.3f}", "?" if prediction.abstained else score.label, prediction.path, sep="\t")
    return unreadable


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(1 if main(*sys.argv[1:]) else 0)
