"""How many files may be open: more than now, never fewer, never more than the system allows."""

import resource
import subprocess
import sys

import pytest

from finetune.system.open_files import allow_open_files

PROGRAM = """
import resource, sys
from finetune.system.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_open_files(int(sys.argv[3]))
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "expected"), [(64, 256, 128, 128), (64, 256, 1000, 256), (128, 256, 100, 128)]
)
def test_the_limit(soft: int, hard: int, wanted: int, expected: int) -> None:
    command = [sys.executable, "-c", PROGRAM, *map(str, (soft, hard, wanted))]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(expected), str(hard)]


@pytest.mark.parametrize(("allowed", "expected"), [(24_576, [15_000]), (10_240, [7_500]), (0, [])])
def test_a_system_that_refuses(monkeypatch: pytest.MonkeyPatch, allowed: int, expected: list[int]) -> None:
    """As macOS does for more than its own limit, whatever getrlimit says."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, resource.RLIM_INFINITY))
    set_to: list[int] = []

    def refuse(kind: int, limits: tuple[int, int]) -> None:
        if limits[0] > allowed:
            raise ValueError("current limit exceeds maximum limit")
        set_to.append(limits[0])

    monkeypatch.setattr(resource, "setrlimit", refuse)
    allow_open_files(60_000)
    assert set_to == expected


def test_a_system_without_such_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    allow_open_files(60_000)
