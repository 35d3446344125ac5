"""Files and folders that appear whole or not at all."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield a temporary file next to `file`; when the block ends without an error, it is flushed to disk and renamed.

    Until then only its owner can read it; afterwards its permissions follow the umask. When the block raises, the
    temporary file is deleted and an older `file` stays. An OSError of the disk or the folder names `file`.
    """
    temporary = file.with_name(f".{file.name}.{secrets.token_urlsafe(6)}.part")
    created = False
    try:
        temporary.touch(exist_ok=False)  # with the permissions that the umask allows
        created = True
        permissions = temporary.stat().st_mode
        temporary.chmod(0o600)
        yield temporary
        with temporary.open("rb") as content:
            os.fsync(content.fileno())
        temporary.chmod(permissions)
        temporary.replace(file)
    except OSError as error:
        _hide_temporary_name(error, file)
        raise
    finally:
        if created:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder in a hidden one next to `folder`; when the block ends without an error, it is moved there.

    An older `folder` is deleted once the new one is in its place; the caller decides whether that is allowed. Missing
    parents are created. When the block raises, the hidden folder is deleted and an older `folder` stays. An OSError of
    the disk or the parent names `folder`.
    """
    hidden = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
        new = hidden / "new"  # not `hidden` itself, which only its owner may read
        new.mkdir()
        yield new
        _swap(new, folder, hidden / "old")
    except OSError as error:
        _hide_temporary_name(error, folder)
        raise
    finally:
        if hidden:
            shutil.rmtree(hidden, ignore_errors=True)


def _swap(new: Path, folder: Path, old: Path) -> None:
    """Move `new` to `folder`, and an older folder there to `old`; on failure, move that back."""
    if folder.is_dir():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise


def _hide_temporary_name(error: OSError, path: Path) -> None:
    """Let the error name `path` where it names the temporary file or folder, which the user does not know."""
    parts = Path(str(error.filename)).parts
    if error.filename is None or any(part.startswith(f".{path.name}.") for part in parts):
        error.filename, error.filename2 = str(path), None
