"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well it is flushed to disk and takes the name.

    When the block raises, the temporary file goes and what stood at `path` stays. An OSError of the disk or the folder
    names `path`, as the caller knows it.
    """
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        temporary.replace(path)
    except OSError as error:
        if error.filename is None or str(error.filename).endswith(".part"):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """Return the umask. Setting it, the one way that every system has, would bare what other threads make meanwhile."""
    try:
        return int(Path("/proc/self/status").read_bytes().split(b"\nUmask:")[1].split()[0], 8)
    except (OSError, IndexError):  # not Linux
        mask = os.umask(0)
        os.umask(mask)
        return mask
