"""`score(inputs, out)`: from any number of pictures to one file, in whole batches, at constant memory."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from finetune import __version__
from finetune.classifier import Classifier, load
from finetune.data.inputs import STDIN, Input, expand
from finetune.errors import DataError, RunError, UsageError
from finetune.model import Model
from finetune.scoring.formats import format_of
from finetune.scoring.output import Output
from finetune.scoring.rows import Row, ScoreOptions, rows
from finetune.system.progress import track
from finetune.system.quiet import import_tensorflow

logger = logging.getLogger(__name__)

Engine = Literal["local", "ray"]
MakeRows = Callable[[Classifier, Iterator[Input], ScoreOptions], Generator[Row, None, None]]


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
    engine: Engine = "local",
    address: str | None = None,
) -> Counts:
    """Write one row to `out` for every picture that the arguments mean, as `expand` reads them, in order.

    `model` and `network` as `finetune.load`. Everything that can be wrong with the arguments, the options and the model
    raises a FinetuneError before anything is written. A run that stops, whatever the reason, leaves `out` as it was and
    FILE.partial, with which `resume` goes on to the bytes of a run that never stopped. `strict` raises DataError for
    the first picture that cannot be read. `engine` "ray" computes on the Ray cluster at `address`, or on one that is
    started on this machine; a run that one engine began may be finished by the other.
    """
    if address is not None and engine != "ray":
        raise UsageError("--address is for --engine ray; leave it out")
    classifier = load(model, network)
    form = format_of(out, classifier, options)
    about = {"version": __version__, "model": _digest(classifier.model), **asdict(options)}
    inputs = expand(arguments, null)
    total = None if STDIN in arguments else sum(1 for _ in expand(arguments))
    output = Output(out, form, about, resume, overwrite)
    with _engine(engine, address) as make_rows, output:
        if not output.finished:
            output.skip(inputs)
            left = None if total is None else total - output.rows
            try:
                with closing(make_rows(classifier, inputs, options)) as made:
                    _write(track(made, left, "scoring", "pictures"), output, options.batch_size, strict)
            except KeyboardInterrupt:
                raise RunError(f"interrupted after {output.rows} rows; the same with --resume goes on") from None
        output.finish()
    return Counts(output.rows, output.unreadable)


@contextmanager
def _engine(name: Engine, address: str | None) -> Iterator[MakeRows]:
    """Have all that making rows needs, so that the progress counts pictures only; give what makes them."""
    if name == "local":
        import_tensorflow()
        yield rows
        return
    from finetune.scoring import ray_engine

    with ray_engine.connected(address):
        yield ray_engine.rows


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
