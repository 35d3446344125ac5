"""Plant faults in a copy of the package, one at a time, and report which of them no test notices.

    python tools/plant_faults.py                 all faults of tools/faults.toml, some ten minutes
    python tools/plant_faults.py training plots  those whose file or text has one of these words

Each fault replaces one piece of text by another and runs the tests that should fail. The checkout is not changed.
Exit code 1 when a fault survives without a reason in `survives`, or when its text is no longer in the file.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("finetune", "tests", "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINKED = ("weights", "examples", "benchmarks", "tools", "docs")
SECONDS = 300  # for the tests of one fault; one that makes them hang is noticed too


class Fault(NamedTuple):
    """A text of a file, which occurs there once, the text to replace it by, and the tests that should fail.

    `survives`: why no test can notice it, where that is so.
    """

    file: str
    old: str
    new: str
    tests: str
    survives: str = ""


def main() -> None:
    """Plant every fault that the words select, and print what became of it."""
    words = sys.argv[1:]
    faults = [Fault(**fault) for fault in tomllib.loads((ROOT / "tools/faults.toml").read_text())["fault"]]
    chosen = [fault for fault in faults if not words or any(word in f"{fault.file} {fault.old}" for word in words)]
    survivors = stale = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = make_copy(Path(folder))
        for fault in chosen:
            result = plant(copy, fault)
            unexplained = result == "SURVIVES" and not fault.survives
            survivors += unexplained
            stale += result == "STALE"
            if result != "caught":
                reason = f"  ({fault.survives})" if fault.survives else ""
                print(f"{result}  {fault.file}: {fault.old!r} → {fault.new!r}{reason}", flush=True)
    explained = sum(bool(fault.survives) for fault in chosen)
    print(f"{len(chosen)} faults: {survivors} survive, {explained} of them known to, {stale} are out of date")
    sys.exit(bool(survivors or stale))


def make_copy(folder: Path) -> Path:
    """Return a copy of the checkout in `folder`, next to a link to the reference files if they exist."""
    copy = folder / "checkout"
    copy.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    for name in LINKED:
        (copy / name).symlink_to(ROOT / name)
    if (ROOT.parent / "shared").exists():
        (folder / "shared").symlink_to(ROOT.parent / "shared")
    return copy


def plant(copy: Path, fault: Fault) -> str:
    """Return what became of a fault: `caught`, `SURVIVES`, or `STALE` where its text does not occur exactly once."""
    path = copy / fault.file
    text = path.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        return "STALE"
    path.write_text(text.replace(fault.old, fault.new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *fault.tests.split()]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "caught"
    finally:
        path.write_text(text, encoding="utf-8")
    if done.returncode not in (0, 1):  # no test ran
        raise SystemExit(f"{fault.tests}: pytest ended with {done.returncode}\n{done.stdout.decode()[-2000:]}")
    return "caught" if done.returncode else "SURVIVES"


if __name__ == "__main__":
    main()
