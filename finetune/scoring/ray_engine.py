"""Rows computed by Ray on the machines of a cluster: a model on each one, and batches sent to whichever is free."""

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
from finetune.data.images import path_or_url
from finetune.data.inputs import Input
from finetune.errors import FinetuneError, RunError, UsageError
from finetune.scoring.rows import ScoreRow
from finetune.scoring.rows import compute_rows as compute_local_rows
from finetune.scoring.score_options import ScoreOptions
from finetune.system.extras import needs
from finetune.system.quiet import silence

logger = logging.getLogger(__name__)

LAST_PORT = 65535
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 60.0  # a machine may have to start a process first
WINDOW = 4_000  # batches in one Ray job: their file names take some 100 MB; new workers start within seconds


@contextmanager
def connected(address: str | None = None) -> Iterator[None]:
    """Join the Ray cluster at `address` (HOST:PORT), or start Ray on this machine; afterwards leave or stop it.

    Raises UsageError if the ray package is missing or `address` is invalid, RunError if Ray does not answer there or a
    machine has another version of finetune.
    """
    if address is not None:
        _check_address(address)
    with redirect_stdout(sys.stderr):  # Ray reports dead workers on stdout, which is for results only
        _join(address, quiet=not logger.isEnabledFor(logging.DEBUG))
        import ray

        try:
            _check_machines()
            yield
        finally:
            ray.shutdown()


def compute_rows(
    classifier: Classifier, inputs: Iterable[Input], options: ScoreOptions
) -> Generator[ScoreRow, None, None]:
    """Yield one row for each input, in order, as the local function does: the same batches, so the same bits.

    One worker on each machine of the cluster holds a copy of the model; the files must have the same absolute path on
    every machine. If a worker dies, another one computes its batch again. Call it within `connected`.
    Raises RunError if a worker fails, and whatever the local function raises.
    """
    import ray

    machines = len(_machines())
    logger.info("Ray: %d %s", machines, "worker" if machines == 1 else "workers")
    model = ray.put(classifier.model)  # once; every machine fetches it from the object store
    inputs = iter(inputs)
    while window := list(_batches(inputs, options.batch_size, WINDOW)):
        rows_of_batches = _compute_window(window, model, options, min(machines, len(window)))
        for batch, rows in zip(window, rows_of_batches, strict=True):
            for name, row in zip(batch, rows, strict=True):
                yield replace(row, path=path_or_url(name))  # the path as given, not the absolute one


def _compute_window(
    window: Sequence[Sequence[Input]], model: Any, options: ScoreOptions, workers: int
) -> Iterator[list[ScoreRow]]:
    """Yield the rows of each batch, in order, with absolute paths."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # ours counts images
    context.execution_options.preserve_order = True
    # Pickled, since file names need not be UTF-8 but Arrow's strings must be; Ray pickles other objects anyway.
    batches = [{"batch": pickle.dumps([_absolute(name) for name in batch])} for batch in window]
    dataset = ray.data.from_items(batches, override_num_blocks=len(batches)).map(
        Worker,
        fn_constructor_args=(model, options),
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,  # few, so that the worker of a dead machine fits on another one
    )
    try:
        for row in dataset.iter_rows():
            found = pickle.loads(row["rows"])  # noqa: S301 (from our own worker)
            if isinstance(found, FinetuneError):
                raise found
            yield found
    except ray.exceptions.RayError as error:
        raise RunError(
            f"a Ray worker failed ({_last_line(error)}); expected machines with enough memory for the model; "
            "fix that and continue with --resume"
        ) from None


class Worker:
    """Computes batches on one machine of the cluster, as the local engine does, with its own copy of the model."""

    def __init__(self, model: Any, options: ScoreOptions) -> None:
        import ray

        self._classifier = Classifier(ray.get(model), many=True)
        self._options = options

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        """Return the rows of one batch, or the error that ends the job."""
        batch = pickle.loads(row["batch"])  # noqa: S301 (from our own command)
        try:
            return {"rows": pickle.dumps(list(compute_local_rows(self._classifier, batch, self._options)))}
        except FinetuneError as error:
            return {"rows": pickle.dumps(error)}


def _batches(inputs: Iterator[Input], size: int, count: int) -> Iterator[list[Input]]:
    """Yield the next batches of `size` inputs, at most `count` of them."""
    for _ in range(count):
        batch = list(islice(inputs, size))
        if not batch:
            return
        yield batch


def _absolute(name: Input) -> Input:
    """Return a name that does not depend on the folder a worker runs in."""
    return name.absolute() if isinstance(name, Path) else name


def _join(address: str | None, quiet: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to Ray's makers
    if quiet:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # half a page per dead worker, whose work others do
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
            f"cannot join Ray at {address} ({_last_line(error)}); expected the address of a cluster that includes this "
            "machine, and RAY_AUTH_MODE=token if the cluster has a token"
            if address
            else f"Ray cannot be started ({_last_line(error)}); add -v for details"
        ) from None
    finally:
        os.environ.pop(_ATTEMPTS, None)


_ATTEMPTS = "RAY_gcs_server_port_wait_time_s"  # attempts to join: each takes 41 s, and Ray makes 20 by default


def _check_address(address: str) -> None:
    """Connect to an address first: Ray itself would try for many minutes if nothing listens there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > LAST_PORT or "/" in host:
        raise UsageError(f"--address {address}: expected HOST:PORT, as `ray start` shows it")
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise RunError(
            f"nothing listens at --address {address} ({error.strerror or error}); "
            "expected the address that `ray start --head` shows"
        ) from None


def _machines() -> list[dict[str, Any]]:
    """Return the machines of the cluster that have a CPU for us."""
    import ray

    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]


def _check_machines() -> None:
    """Raise RunError unless there is a machine and all of them have this version of finetune."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def version() -> str:  # sent as code, so that it runs where finetune is missing
        try:
            import finetune

            return str(finetune.__version__)
        except (ImportError, AttributeError):
            return "none"

    machines = _machines()
    if not machines:
        raise RunError("no machine of the Ray cluster offers a CPU; expected at least one; see `ray status`")
    strategies = [NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False) for machine in machines]
    tasks = [ray.remote(num_cpus=0)(version).options(scheduling_strategy=strategy).remote() for strategy in strategies]
    try:
        versions = ray.get(tasks, timeout=SECONDS_TO_ANSWER)
    except ray.exceptions.RayError as error:
        raise RunError(
            f"a machine of the Ray cluster does not answer ({_last_line(error)}); see `ray status`"
        ) from None
    for machine, found in zip(machines, versions, strict=True):
        if found != __version__:
            raise RunError(
                f"{machine['NodeManagerHostname']} of the Ray cluster: expected finetune {__version__}, found {found}; "
                "install the same finetune and ray on every machine"
            )


def _last_line(error: Exception) -> str:
    """Return the message of an error without the traceback in it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
