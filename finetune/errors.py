"""The errors that a user can cause or meet; each message says what was expected, what came and what to do.

    FinetuneError
    ├── UsageError      options that contradict each other, name something unknown or need a package that is missing
    ├── DataError       a folder or list that cannot be trained on
    ├── ImageError      one image that cannot be read
    ├── WeightsError    a weights or model file that cannot be read or does not fit
    └── RunError        a run directory that is missing, incomplete or already exists
        ├── InterruptionError  Ctrl-C in work that can be resumed
        └── WorkerError        a worker of a training has ended

The command line turns each into one line on stderr and its exit code.
"""

LONGEST = 999  # characters of a message; most have fewer than 300


class FinetuneError(Exception):
    """Base of all errors of this package; the command line ends with its `exit_code`."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message, shortened if a file put much of its own content into it."""
        text = super().__str__()
        return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


class UsageError(FinetuneError):
    """The options are wrong, or need a package that is missing; nothing was written."""

    exit_code = 2


class DataError(FinetuneError):
    """The data cannot be trained on."""


class ImageError(FinetuneError):
    """One image cannot be read; the message does not repeat the path."""


class WeightsError(FinetuneError):
    """A weights file cannot be read, is refused, or does not fit the network."""


class RunError(FinetuneError):
    """A run directory is missing, incomplete, or already exists."""


class InterruptionError(RunError):
    """Ctrl-C stopped a training or scoring; the message says how to continue."""

    exit_code = 130  # that of shells for Ctrl-C: 128 and the number of SIGINT


class WorkerError(RunError):
    """A process that computes a part of a training has ended; the training can be resumed."""
