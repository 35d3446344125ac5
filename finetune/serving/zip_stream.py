"""A zip archive as a stream, so that a thousand images need neither memory nor a temporary file."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile


class _Pieces(RawIOBase):
    """A file that can only be written, and whose content is taken away piece by piece."""

    def __init__(self) -> None:
        self._content = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._content += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self._content)
        self._content.clear()
        return taken


def zip_stream(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip archive, file by file, not compressed since images are; of each its name in it and its path.

    A file that is deleted or moved meanwhile is not in the archive.
    """
    pieces = _Pieces()
    with ZipFile(pieces, "w", ZIP_STORED) as archive:
        for name, path in files:
            with suppress(FileNotFoundError):
                archive.writestr(name, path.read_bytes())
                yield pieces.take()
    yield pieces.take()
