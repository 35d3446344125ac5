"""The lock of a run directory: one process at a time trains into it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from finetune.errors import RunError

LOCK = ".lock"


@contextmanager
def locked(folder: Path, unfinished: Path) -> Iterator[None]:
    """Make `folder` if necessary and hold it for this process; afterwards, remove what was made if it is empty.

    What a killed process left half-written is removed: the folder `unfinished` and files that end with `.part`.
    Raises RunError when another process holds the folder, OSError when it cannot be written.
    """
    lock = FileLock(folder / LOCK, timeout=0)
    made = [folder, *(parent for parent in folder.parents if not parent.exists())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunError(f"another training is writing to {folder}; wait for it, or choose another --out") from None
    try:
        for part in folder.rglob(".*.part"):
            part.unlink()
        shutil.rmtree(unfinished, ignore_errors=True)
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        for path in made:
            if any(path.iterdir()):
                break
            path.rmdir()
