"""SIGTERM: the first one acts like Ctrl-C, a second one ends the process at once."""

import signal
from typing import NoReturn


def end_politely_on_sigterm() -> None:
    """Let SIGTERM raise KeyboardInterrupt, so that a command saves what it has."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise KeyboardInterrupt
