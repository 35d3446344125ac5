"""The model that is used when the user names none."""

from finetune.pretrained.locate import find
from finetune.runs.run import newest


def default_model() -> str:
    """Return the reference used when the user gives none.

    The newest run in ./runs, else the published AlexNet if its file is present, else the starter.
    """
    run = newest()
    if run:
        return str(run.path)
    return "bvlc_alexnet" if find("bvlc_alexnet") else "starter"
