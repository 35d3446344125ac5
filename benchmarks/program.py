"""Run a program from its start to its end and measure it."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

PLAIN_IMPORT = (sys.executable, "-c", "import tensorflow")


class Run(NamedTuple):
    """The seconds until a program's end and until its first line on stdout, and its peak memory in MB."""

    seconds: float
    printed: float
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.megabytes:.0f} MB"


def run(command: Sequence[object], environment: Mapping[str, str], first_line: str = "") -> Run:
    """Run a program; exit with its stderr if it fails or if its first line does not contain `first_line`.

    The peak is at least that of this process (Linux counts what is before exec), so import nothing large here.
    """
    words = [str(word) for word in command]
    with tempfile.TemporaryFile("w+") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout
        with process.stdout:
            line = process.stdout.readline()
            printed = time.perf_counter() - start
            process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or first_line not in line:
            errors.seek(0)
            sys.exit(f"{errors.read()}\n{' '.join(words)} printed {line!r} and ended with {process.returncode}")
    return Run(took, printed, usage.ru_maxrss / 1000)  # kB on Linux
