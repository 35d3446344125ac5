"""`score(inputs, out)`: from any number of pictures to one file, in whole batches, at constant memory."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from finetune import __version__
from finetune.classifier import load
from finetune.errors import DataError, RunError
from finetune.model import Model
from finetune.progress import track
from finetune.quiet import import_tensorflow
from finetune.scoring.formats import format_of
from finetune.scoring.inputs import STDIN, expand
from finetune.scoring.output import Output
from finetune.scoring.rows import Row, ScoreOptions, rows

logger = logging.getLogger(__name__)


class Counts(NamedTuple):
    """How many rows were written, and how many of them say why their picture could not be read."""

    rows: int
    unreadable: int


def score(
    arguments: Sequence[str],
    out: Path,
    options: ScoreOptions,
    model: str | None = None,
    network: str | None = None,
    *,
    null: bool = False,
    strict: bool = False,
    resume: bool = False,
    overwrite: bool = False,
) -> Counts:
    """Write one row to `out` for every picture that the arguments mean, as `expand` reads them, in order.

    `model` and `network` as `finetune.load`. Everything that can be wrong with the arguments, the options and the model
    raises a FinetuneError before anything is written. A run that stops, whatever the reason, leaves `out` as it was and
    FILE.partial, with which `resume` goes on to the bytes of a run that never stopped. `strict` raises DataError for
    the first picture that cannot be read.
    """
    classifier = load(model, network)
    form = format_of(out, classifier, options)
    about = {"version": __version__, "model": _digest(classifier.model), **asdict(options)}
    inputs = expand(arguments, null)
    total = None if STDIN in arguments else sum(1 for _ in expand(arguments))
    with Output(out, form, about, resume, overwrite) as output:
        if not output.finished:
            output.skip(inputs)
            import_tensorflow()  # now, so that the progress counts pictures only
            left = None if total is None else total - output.rows
            made = track(rows(classifier, inputs, options), left, "scoring", "pictures")
            try:
                _write(made, output, options.batch_size, strict)
            except KeyboardInterrupt:
                raise RunError(f"interrupted after {output.rows} rows; the same with --resume goes on") from None
        output.finish()
    return Counts(output.rows, output.unreadable)


def _write(made: Iterator[Row], output: Output, batch_size: int, strict: bool) -> None:
    while batch := list(islice(made, batch_size)):
        bad = next((row for row in batch if row.error is not None), None) if strict else None
        if bad:
            raise DataError(
                f"--strict: {bad.path}: {bad.error}; mend it and go on with --resume, or leave --strict out"
            )
        output.write(batch)


def _digest(model: Model) -> str:
    """Return the SHA-256 of all that the model's rows depend on, wherever its file lies."""
    network = model.network
    described = [network.name, dict(network.options), network.preprocessing.to_json(), model.class_names]
    digest = hashlib.sha256(json.dumps([*described, model.about.get("temperature")]).encode())
    for name in sorted(model.weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.weights[name]).data)
    return digest.hexdigest()
