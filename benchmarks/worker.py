"""A worker process that answers JSON lines, so that each library is measured in its own environment."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent
PASSES = 3  # per measurement, after one that does not count


class Worker:
    """A running worker: `ask` sends it a command with arguments and returns the answer."""

    def __init__(self, python: str, script: str, environment: Mapping[str, str]) -> None:
        self._script = script
        self._process = subprocess.Popen(
            [python, WORKERS / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, command: str, *arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        try:
            print(json.dumps([command, *arguments]), file=self._process.stdin, flush=True)
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"{self._script} stopped at {command}; see its output above")
        return json.loads(answer)

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # closes its input, which stops it


def serve(commands: Mapping[str, Callable[..., Any]]) -> None:
    """Answer commands from stdin until it closes."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # so that nothing a library prints is taken for an answer
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        print(json.dumps(commands[command](*arguments)), file=answers, flush=True)


def milliseconds(run: Callable[[], object]) -> float:
    """Return the mean milliseconds of several passes."""
    run()
    start = time.perf_counter()
    for _ in range(PASSES):
        run()
    return 1000 * (time.perf_counter() - start) / PASSES
