"""Workers as processes of this machine."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from finetune.errors import WorkerError
from finetune.system.quiet import import_for_own_program, silence
from finetune.system.text import shortened
from finetune.training.head_worker import HeadWorker
from finetune.training.worker_group import SECONDS_TO_END

HOST = "127.0.0.1"
LONGEST = 300  # letters of what a worker says of its failure


@contextmanager
def local_group(count: int) -> Iterator["LocalGroup"]:
    """Yield so many workers, which are killed in the end."""
    group = LocalGroup()
    try:
        for place in range(count):
            group.add(place, count)
        yield group
    finally:
        group.kill()


class LocalGroup:
    """A `WorkerGroup` of processes."""

    def __init__(self) -> None:
        self.hosts: list[str] = []
        self._processes: list[BaseProcess] = []
        self._connections: list[Connection] = []

    def add(self, place: int, count: int) -> None:
        """Start another process."""
        spawn = get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_work, args=(theirs,), name=f"worker {place + 1} of {count}", daemon=True)
        with _ctrl_c_blocked():  # Ctrl-C in the terminal is for this process, not for its workers
            process.start()
        theirs.close()  # so that the end of the process ends the receiving
        self.hosts.append(HOST)
        self._processes.append(process)
        self._connections.append(ours)

    def kill(self) -> None:
        """End all processes."""
        for process in self._processes:
            process.kill()
        for process, connection in zip(self._processes, self._connections, strict=True):
            process.join()
            connection.close()

    def ask(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return what a method returns in each of the first processes; see `WorkerGroup`."""
        asked = self._connections[: len(arguments)]
        answers: dict[Any, Any] = {}
        try:
            for connection, each in zip(asked, arguments, strict=True):
                connection.send((method, each))
            while len(answers) < len(asked):
                ready = wait([each for each in asked if each not in answers])
                for connection in (each for each in asked if each in ready):
                    answers[connection], error = connection.recv()
                    if error:
                        raise self._error(error)
        except (EOFError, OSError):
            raise self._error("it closed its connection") from None
        return [answers[connection] for connection in asked]

    def _error(self, reason: str) -> WorkerError:
        """Return an error that names the process which has ended, otherwise the reason."""
        until = time.monotonic() + SECONDS_TO_END
        while time.monotonic() < until:
            for process in self._processes:
                if process.exitcode is not None:
                    code = process.exitcode
                    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                    return WorkerError(f"{process.name} has ended ({how})")
            time.sleep(0.05)
        return WorkerError(f"a worker has failed ({reason})")


@contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Hold Ctrl-C back until the end of the block; a process that is started in the block does not get it either."""
    resource_tracker.ensure_running()  # with the first process it would start, and let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection: Connection) -> None:
    """Answer what this process is asked, until the one that asks is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whatever an import does to what is blocked
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import_for_own_program()
    worker = HeadWorker()
    with suppress(EOFError, OSError), silence():  # what TensorFlow says of a worker that ended, in many lines
        while True:
            method, arguments = connection.recv()
            try:
                connection.send((getattr(worker, method)(*arguments), None))
            except Exception as error:
                connection.send((None, shortened(" ".join(f"{type(error).__name__}: {error}".split()), LONGEST)))


def _end_with_parent() -> None:
    """End this process once its parent has, though it may be waiting for other workers."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
