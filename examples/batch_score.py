"""Classify every image in a folder, and mark the ones the model is unsure of.

    python batch_score.py IMAGES [MODEL]

MODEL is a run directory, a model or weights file, or a name such as starter. Every image gives one line of
tab-separated values: probability, label, path. The label is `?` if the model is less than 60 % sure.
"""

import sys

import finetune


def main(images: str, model: str | None = None) -> int:
    """Print one line for every image below a folder; return how many could not be read."""
    unreadable = 0
    for prediction in finetune.load(model).predict(images, abstain_below=0.6):
        if prediction.error is not None:
            print(f"{prediction.path}: {prediction.error}", file=sys.stderr)
            unreadable += 1
            continue
        label = "?" if prediction.abstained else prediction.label
        print(f"{prediction.probability:.3f}", label, prediction.path, sep="\t")
    return unreadable


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(1 if main(*sys.argv[1:]) else 0)
