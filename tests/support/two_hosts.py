"""Two hosts on one machine: each has its own network and its own processes, with a cable between them. Linux, as root.

They have no names on the machine: a host is gone with its first process, which ends with the program that runs the
tests, even if that is killed.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ADDRESSES = ("192.0.2.1", "192.0.2.2")  # for documentation, RFC 5737
PROGRAMS = ("ip", "nsenter", "setpriv", "unshare")
UNSHARE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
SECONDS_TO_START = 20


@dataclass(frozen=True)
class Host:
    """A host with an address. `first` is its first process: all others end with it."""

    address: str
    first: int
    environment: Mapping[str, str]

    def start(self, *command: object) -> "subprocess.Popen[str]":
        """Start a program there, in the current folder; what it prints is one text."""
        enter = ["nsenter", "--net", "--pid", "--mount", f"--target={self.first}", "env", f"--chdir={Path.cwd()}"]
        return subprocess.Popen(
            [*enter, *map(str, command)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: object) -> None:
        """Run a program there to its end."""
        process = self.start(*command)
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed

    def processes(self) -> list[str]:
        """Return the names of its processes."""
        return [path.read_text() for path in Path(f"/proc/{self.first}/root/proc").glob("[0-9]*/cmdline")]

    def cut_power(self) -> None:
        """End all its processes at once, with its network: nobody is told."""
        os.kill(self.first, signal.SIGKILL)


@contextmanager
def two_hosts(environment: Mapping[str, str]) -> Iterator[tuple[Host, Host]]:
    """Yield two hosts that reach each other and nothing else; skip the test where they cannot be made."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        pytest.skip(f"two hosts on one machine need {', '.join(missing)} (Linux)")
    tried = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this machine does not permit network namespaces ({tried.stderr.strip()})")
    with ExitStack() as ends:
        hosts = [Host(address, ends.enter_context(_first_process()), environment) for address in ADDRESSES]
        ends_of_cable = [["name", "cable", "netns", str(host.first)] for host in hosts]
        cable = ["ip", "link", "add", *ends_of_cable[0], "type", "veth", "peer", *ends_of_cable[1]]
        made = subprocess.run(cable, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"this machine does not permit a cable between network namespaces ({made.stderr.strip()})")
        for host, far in zip(hosts, reversed(ADDRESSES), strict=True):
            host.run("ip", "link", "set", "lo", "up")
            host.run("ip", "link", "set", "cable", "up")
            # Not the cable's: that is gone with the other host, and a host without its own address ends Ray.
            host.run("ip", "address", "add", host.address, "dev", "lo")
            host.run("ip", "route", "add", far, "dev", "cable", "src", host.address)
        yield hosts[0], hosts[1]


@contextmanager
def _first_process() -> Iterator[int]:
    """Yield the number of a new host's first process: the child of `unshare`, which is not in the host itself."""
    command = ["setpriv", "--pdeathsig", "KILL", *UNSHARE, "sleep", "infinity"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as outside:  # complains when the host ends
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            children = Path(f"/proc/{outside.pid}/task/{outside.pid}/children")
            while not (found := children.read_text().split()) or _command(found[0]) != "sleep":
                assert time.monotonic() < deadline, "the host does not start"
                time.sleep(0.01)
            yield int(found[0])
        finally:
            outside.kill()


def _command(process: str) -> str:
    return Path(f"/proc/{process}/comm").read_text().strip()
