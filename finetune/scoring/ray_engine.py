"""Rows made by Ray, on the machines of a cluster: one model on each, batches of pictures sent where there is room."""

import logging
import os
import pickle
import socket
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from finetune import __version__
from finetune.classifier import Classifier
from finetune.data.inputs import Input
from finetune.errors import FinetuneError, RunError, UsageError
from finetune.scoring.rows import Row, ScoreOptions
from finetune.scoring.rows import rows as local_rows
from finetune.system.extras import needs
from finetune.system.quiet import silence

logger = logging.getLogger(__name__)

LAST_PORT = 65535
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 60.0  # for a machine that must start a process first
WINDOW = 4_000  # batches: the names of their pictures take some 100 MB; after them workers begin anew, in seconds


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Join the Ray cluster at `address`, HOST:PORT, or without one start Ray on this machine; leave or stop it after.

    Raises UsageError when the ray package is missing or `address` is no address, RunError when no Ray is there or a
    machine has not this version of finetune.
    """
    if address is not None:
        _check(address)
    with redirect_stdout(sys.stderr):  # Ray tells of dead workers on stdout, which is for results only
        _join(address, quiet=not logger.isEnabledFor(logging.DEBUG))
        import ray

        try:
            _check_machines()
            yield
        finally:
            ray.shutdown()


def rows(classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions) -> Generator[Row, None, None]:
    """Yield one row for every input, in order, as the local `rows`: its batches, so its bits on equal machines.

    One worker on every machine of the cluster holds a copy of the model; the files must lie on each under the same
    absolute path. The batch of a worker that dies is computed again by another. Needs `connected`.
    Raises RunError when a worker cannot work, and what the local `rows` raises.
    """
    import ray

    machines = len(_machines())
    logger.info("Ray: %d %s", machines, "worker" if machines == 1 else "workers")
    model = ray.put(classifier.model)  # once; every machine fetches it from there
    inputs = iter(inputs)
    while window := list(_batches(inputs, options.batch_size, WINDOW)):
        made = _computed(window, model, options, min(machines, len(window)))
        for batch, batch_rows in zip(window, made, strict=True):
            for place, row in zip(batch, batch_rows, strict=True):
                yield replace(row, path=place)


def _computed(
    window: Sequence[Sequence[Input]], model: Any, options: ScoreOptions, workers: int
) -> Iterator[list[Row]]:
    """Yield the rows of every batch, in order, with absolute paths."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours counts pictures
    context.execution_options.preserve_order = True
    # Pickled, since names of files may be no UTF-8, which Arrow's strings must be; Ray pickles other objects anyway.
    batches = [{"batch": pickle.dumps([_anywhere(place) for place in batch])} for batch in window]
    dataset = ray.data.from_items(batches, override_num_blocks=len(batches)).map(
        Worker,
        fn_constructor_args=(model, options),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,  # little, so that a dead machine's worker finds room on another
    )
    try:
        for row in dataset.iter_rows():
            found = pickle.loads(row["rows"])  # noqa: S301 (from our own worker)
            if isinstance(found, FinetuneError):
                raise found
            yield found
    except ray.exceptions.RayError as error:
        raise RunError(
            f"a Ray worker failed ({_last_line(error)}); expected machines with memory for the model; "
            "mend it and go on with --resume"
        ) from None


class Worker:
    """What computes batches on a machine of the cluster: `rows` of the local engine on a model of its own."""

    def __init__(self, model: Any, options: ScoreOptions) -> None:
        import ray

        self._classifier = Classifier(ray.get(model))
        self._options = options

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """Return the rows of one batch, or the error that ends the job."""
        batch = pickle.loads(row["batch"])  # noqa: S301 (from our own command)
        try:
            return {"rows": pickle.dumps(list(local_rows(self._classifier, batch, self._options)))}
        except FinetuneError as error:
            return {"rows": pickle.dumps(error)}


def _batches(inputs: Iterator[Input], size: int, count: int) -> Iterator[list[Input]]:
    """Yield the next batches of `size` inputs, `count` at most."""
    for _ in range(count):
        batch = list(islice(inputs, size))
        if not batch:
            return
        yield batch


def _anywhere(place: Input) -> Input:
    """Return a place that means the same in whatever folder a worker runs."""
    return place.absolute() if isinstance(place, Path) else place


def _join(address: str | None, quiet: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody is told what is computed here
    if quiet:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # each dead worker's half page; others take over
    if address is not None:
        os.environ[_ATTEMPTS] = "1"
    try:
        import ray
        import ray.data

        level = logging.CRITICAL if quiet else logging.INFO  # errors are raised too
        with silence():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=not quiet,
                logging_level=level,
            )
        logging.getLogger("ray.data").setLevel(level)
    except ImportError:
        raise UsageError(f"finetune score --engine ray {needs('ray')}") from None
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise RunError(
            f"Ray cannot be joined at {address} ({_last_line(error)}); expected the address of a cluster that this "
            "machine is part of, and RAY_AUTH_MODE=token if the cluster has a token"
            if address
            else f"Ray cannot be started ({_last_line(error)}); -v shows more"
        ) from None
    finally:
        os.environ.pop(_ATTEMPTS, None)


_ATTEMPTS = "RAY_gcs_server_port_wait_time_s"  # to join; each takes 41 s, and Ray makes 20 where nothing is said


def _check(address: str) -> None:
    """Knock at an address: Ray itself would go on for many minutes where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT or "/" in host:
        raise UsageError(f"--address {address}: expected HOST:PORT, as ray start shows it")
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise RunError(
            f"nobody listens at --address {address} ({error.strerror or error}); "
            "expected the address that ray start --head shows"
        ) from None


def _machines() -> list[dict[str, Any]]:
    """Return the machines of the cluster that compute."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]


def _check_machines() -> None:
    """Raise RunError unless there are machines and all have this version of finetune."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def version() -> str:  # goes to the machines as code, so that it runs where finetune is missing
        try:
            import finetune

            return str(finetune.__version__)
        except (ImportError, AttributeError):
            return "none"

    machines = _machines()
    if not machines:
        raise RunError("no machine of the Ray cluster offers a CPU; expected one or more; ray status shows them")
    there = [NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False) for machine in machines]
    asked = [ray.remote(num_cpus=0)(version).options(scheduling_strategy=where).remote() for where in there]
    try:
        answers = ray.get(asked, timeout=SECONDS_TO_ANSWER)
    except ray.exceptions.RayError as error:
        raise RunError(f"a machine of the Ray cluster does not answer ({_last_line(error)}); see ray status") from None
    for machine, found in zip(machines, answers, strict=True):
        if found != __version__:
            raise RunError(
                f"{machine['NodeManagerHostname']} of the Ray cluster: expected finetune {__version__}, found {found}; "
                "install the same finetune and ray on every machine"
            )


def _last_line(error: Exception) -> str:
    """Return what an error says without the traceback before it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
