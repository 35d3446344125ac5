"""Join a Ray cluster: which machines it has, and the errors without one."""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from finetune import __version__
from finetune.errors import RunError, UsageError
from finetune.system.extras import needs
from finetune.system.quiet import silence

logger = logging.getLogger(__name__)

LAST_PORT = 65535
SECONDS_TO_CONNECT = 5.0
SECONDS_TO_ANSWER = 60.0  # a machine may have to start a process first


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


def _join(address: str | None, quiet: bool) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to Ray's makers
    if quiet:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # half a page per dead worker, whose work others do
    if address is not None:
        os.environ[_ATTEMPTS] = "1"
    try:
        import ray

        level = logging.CRITICAL if quiet else logging.INFO  # errors are raised too
        with silence():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=not quiet,
                logging_level=level,
            )
    except ImportError:
        raise UsageError(f"--engine ray {needs('ray')}") from None
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        raise RunError(
            f"cannot join Ray at {address} ({last_line(error)}); expected the address of a cluster that includes this "
            "machine, and RAY_AUTH_MODE=token if the cluster has a token"
            if address
            else f"Ray cannot be started ({last_line(error)}); add -v for details"
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


def machines() -> list[dict[str, Any]]:
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

    found = machines()
    if not found:
        raise RunError("no machine of the Ray cluster offers a CPU; expected at least one; see `ray status`")
    strategies = [NodeAffinitySchedulingStrategy(machine["NodeID"], soft=False) for machine in found]
    tasks = [ray.remote(num_cpus=0)(version).options(scheduling_strategy=strategy).remote() for strategy in strategies]
    try:
        versions = ray.get(tasks, timeout=SECONDS_TO_ANSWER)
    except ray.exceptions.RayError as error:
        raise RunError(f"a machine of the Ray cluster does not answer ({last_line(error)}); see `ray status`") from None
    for machine, installed in zip(found, versions, strict=True):
        if installed != __version__:
            raise RunError(
                f"{machine['NodeManagerHostname']} of the Ray cluster: expected finetune {__version__}, "
                f"found {installed}; install the same finetune and ray on every machine"
            )


def last_line(error: Exception) -> str:
    """Return the message of an error without the traceback in it."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()
