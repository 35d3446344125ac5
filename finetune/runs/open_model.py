"""Open a model by reference: a run directory, a weights file, or the name of published weights.

`finetune.runs.run` is imported where it is used: it brings in the readers of data, a third of the time that
`finetune summary FILE` takes.
"""

from dataclasses import replace
from pathlib import Path

from finetune.formats.read_weights import read_weights
from finetune.formats.weights_file import WeightsFile
from finetune.model import Model, model_of
from finetune.pretrained.description import NOTHING_GIVEN, Description
from finetune.pretrained.infer import describe
from finetune.pretrained.resolve import resolve
from finetune.pretrained.verify import warn_if_unverified


def open_model(ref: str | Path, network: str | None = None, description: Description = NOTHING_GIVEN) -> Model:
    """Return the model that `ref` names.

    `network` decides where a weights file fits several networks. Raises RunError for a folder that is not a finished
    run, WeightsError for weights that do not exist, cannot be read, fit no network or hold another than `network`,
    UsageError for a `description` of a run or another file that describes itself.
    """
    return model_of(open_weights(ref), network, description)


def open_weights(ref: str | Path) -> WeightsFile:
    """Return the weights file that `ref` names, not yet checked against a network; its arrays are not copied.

    Raises RunError and WeightsError as `open_model`.
    """
    if Path(ref).is_dir():
        return replace(read_weights(model_file(ref)), run=Path(ref))
    path, name = resolve(str(ref))
    file = describe(read_weights(path), name)
    warn_if_unverified(path)
    return file


def model_file(ref: str | Path) -> Path:
    """Return the file of the model that `ref` names; raise RunError or WeightsError if there is none."""
    if Path(ref).is_dir():
        from finetune.runs.run import open_run

        return open_run(Path(ref)).model
    return resolve(str(ref))[0]
