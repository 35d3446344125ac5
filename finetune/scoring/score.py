"""`score(arguments, out)`: from any number of images to one file of rows, in whole batches, at constant memory."""

import hashlib
import json
import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from finetune import __version__
from finetune.choices import Engine
from finetune.classifier import Classifier, load
from finetune.data.inputs import STDIN, Input, expand
from finetune.data.unread import Unread
from finetune.errors import DataError, InterruptionError, UsageError
from finetune.model import Model
from finetune.pretrained.description import NOTHING_GIVEN, Description
from finetune.scoring.choose_format import choose_format
from finetune.scoring.input_list import read_input_list
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.rows import ScoreRow, compute_rows
from finetune.scoring.score_options import ScoreOptions
from finetune.system.progress import track
from finetune.system.quiet import import_tensorflow

logger = logging.getLogger(__name__)

ComputeRows = Callable[[Classifier, Iterator[Input], ScoreOptions], Generator[ScoreRow, None, None]]


class RowCounts(NamedTuple):
    """How many rows were written, and how many of them have an error because their image was not read, by reason."""

    rows: int
    unread: Unread

    @property
    def unreadable(self) -> int:
        """How many rows have an error."""
        return self.unread.counts.total()


def score(
    arguments: Sequence[str],
    out: Path,
    options: ScoreOptions,
    model: str | None = None,
    network: str | None = None,
    description: Description = NOTHING_GIVEN,
    *,
    null: bool = False,
    strict: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    engine: Engine = "local",
    address: str | None = None,
) -> RowCounts:
    """Write one row to `out` for each image that the arguments name, as `expand` reads them, in order.

    `model`, `network` and `description`: as for `finetune.load`. Any mistake in the arguments, the options or the model
    raises a FinetuneError before anything is written. A run that stops, for whatever reason, leaves `out` as it was and
    FILE.partial, from which `resume` continues to the same bytes as a run that never stopped. `strict` raises DataError
    for the first image that cannot be read. `engine`: "ray" computes on the Ray cluster at `address`, or on one that is
    started on this machine; either engine can finish what the other started.
    """
    if address is not None and engine != "ray":
        raise UsageError("--address is only for --engine ray; omit it")
    # With TensorFlow alone: the bytes of `out` do not depend on how many images are left.
    classifier = load(model, network, many=True, description=description)
    options = replace(options, features=_without_all(options.features, classifier.model))
    inputs = expand(arguments, null)
    listed = None if STDIN in arguments else read_input_list(arguments)
    settings = {"version": __version__, "model": _digest(classifier.model), **asdict(options)}
    about = {"network": classifier.model.network.name, "model_sha256": settings["model"], "finetune": __version__}
    format = choose_format(out, classifier, options, listed, about | {"pool": options.pool})
    output = ResumableOutput(out, format, settings, resume, overwrite)
    with _engine(engine, address) as compute, output:
        try:
            if not output.finished:
                output.skip_written(inputs)
                remaining = None if listed is None else listed.count - output.rows
                with closing(compute(classifier, inputs, options)) as rows:
                    _write(track(rows, remaining, "scoring", "images"), output, options.batch_size, strict)
            output.finish()
        except KeyboardInterrupt:
            raise InterruptionError(
                f"interrupted after {output.rows} rows; add --resume to the same command to continue"
            ) from None
    return RowCounts(output.rows, output.unread)


@contextmanager
def _engine(name: Engine, address: str | None) -> Iterator[ComputeRows]:
    """Yield the function that computes rows, once it is ready: the progress shows the time for images only."""
    if name == "local":
        import_tensorflow()
        yield compute_rows
        return
    from finetune.scoring import ray_engine
    from finetune.system.ray_cluster import connected

    with connected(address):
        yield ray_engine.compute_rows


def _write(rows: Iterator[ScoreRow], output: ResumableOutput, batch_size: int, strict: bool) -> None:
    """Write the rows: a thread writes each batch while the next is computed, since all layers of it are 160 MB."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        writing: Future[None] | None = None
        while batch := list(islice(rows, batch_size)):
            if writing:
                writing.result()
            unreadable = next((row for row in batch if row.error is not None), None) if strict else None
            if unreadable:
                raise DataError(
                    f"--strict: {unreadable.path}: {unreadable.error}; fix it and continue with --resume, or omit "
                    "--strict"
                )
            writing = pool.submit(output.write, batch)
        if writing:
            writing.result()


def _without_all(layers: Sequence[str], model: Model) -> tuple[str, ...]:
    """Return the layers, with every layer of the network in the place of "all", and each of them once."""
    every = [layer.name for layer in model.network.layers]
    return tuple(dict.fromkeys(chain.from_iterable(every if name == "all" else [name] for name in layers)))


def _digest(model: Model) -> str:
    """Return the SHA-256 of everything that the model's rows depend on, wherever its file is."""
    network = model.network
    described = [network.name, dict(network.options), network.preprocessing.to_json(), model.class_names]
    digest = hashlib.sha256(json.dumps([*described, model.about.get("temperature")]).encode())
    for name in sorted(model.weights):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(model.weights[name]).data)
    return digest.hexdigest()
