"""A training in a process of its own, the same `start(config)` as on the command line, and what a page shows of it.

A process, since TensorFlow's memory goes with it, and what it sets for its threads does not concern the predictions.
"""

import logging
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal

from finetune.config import TrainConfig
from finetune.data.class_name import valid_text
from finetune.errors import DataError, FinetuneError
from finetune.system.progress import reporting
from finetune.system.quiet import import_for_own_program

MOST_LINES = 40  # of the log that a page shows


@dataclass(frozen=True)
class TrainingStatus:
    """How far a training is: the heading of what is being counted, how many are `done` of a `total`, and its log.

    `error`: why it failed, in one line. `run`: the run it has written, once that has a model; its report comes last.
    """

    stage: Literal["none", "running", "done", "failed"] = "none"
    what: str = ""
    done: int = 0
    total: int | None = None
    lines: tuple[str, ...] = ()
    error: str = ""
    run: Path | None = None


class BackgroundTraining:
    """One training at a time.

    `trained` is called with each run as soon as it has its model, `hold` with True when a training starts and with
    False when it has ended. `status` may be read at any time.
    """

    def __init__(self, trained: Callable[[Path], None], hold: Callable[[bool], None]) -> None:
        self.status = TrainingStatus()
        self._trained, self._hold = trained, hold
        self._changing = Lock()

    def start(self, config: TrainConfig) -> None:
        """Start a training; DataError if one is running."""
        with self._changing:
            if self.status.stage == "running":
                raise DataError("a training is running already; wait until it is done")
            receiver, sender = get_context("spawn").Pipe(duplex=False)
            process = get_context("spawn").Process(target=train_and_send, args=(sender, config), daemon=True)
            process.start()
            self.status = TrainingStatus("running", "starting")
            self._hold(True)
        sender.close()  # so that the end of the process ends the receiving
        Thread(target=self._follow, args=(receiver, process), daemon=True).start()

    def _follow(self, receiver: Connection, process: Any) -> None:
        """Follow a training to its end, by what it sends."""
        error = ""
        try:
            while True:
                kind, *values = receiver.recv()
                if kind == "failed":
                    error = valid_text(values[0])
                elif kind == "line":
                    lines = (*self.status.lines, *valid_text(values[0]).splitlines())
                    self.status = replace(self.status, lines=lines[-MOST_LINES:])
                elif kind == "progress":
                    self.status = replace(self.status, **dict(zip(("what", "done", "total"), values, strict=True)))
                else:
                    self._trained(*values)
                    self.status = replace(self.status, run=values[0])
        except EOFError:
            process.join()
        except (FinetuneError, OSError) as refused:  # the model that was just written cannot be used
            error = f"{refused}; train again"
        finally:
            if not error and (self.status.run is None or process.exitcode):
                error = f"the training ended before its time (exit code {process.exitcode}); train again"
            with self._changing:
                self._hold(False)
                self.status = replace(self.status, stage="failed" if error else "done", error=error)


def train_and_send(sender: Connection, config: TrainConfig) -> None:
    """Train in this process, and send its progress, the lines of its log, its run or why it failed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal ends the server, and that this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that no unfinished run stays
    logger = logging.getLogger("finetune")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Sending(sender))
    import_for_own_program()
    try:
        from finetune.training.train import start

        with reporting(lambda what, done, total: sender.send(("progress", what, done, total))):
            for run in start(config):
                sender.send(("trained", run.path))
                sender.send(("progress", "drawing the report", 0, None))
    except BrokenPipeError:  # the server was killed
        return
    except FinetuneError as error:
        sender.send(("failed", str(error)))
    except OSError as error:
        sender.send(("failed", f"{error.filename or config.data}: {error.strerror or error}; fix that and train again"))
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        sender.send(("failed", f"unexpected {what[:300]}; this is a bug in finetune, please report it"))


class _Sending(logging.Handler):
    """Sends what is logged."""

    def __init__(self, sender: Connection) -> None:
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        warning = "warning: " if record.levelno >= logging.WARNING else ""  # as on a terminal
        self._sender.send(("line", f"{warning}{record.getMessage()}"))
