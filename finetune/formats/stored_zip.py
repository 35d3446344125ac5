"""Zip archives whose entries are stored, not compressed: entries as views of the mapped file, without copies."""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from finetune.errors import WeightsError
from finetune.formats.untrusted_text import shown


class StoredZip(Mapping[str, memoryview]):
    """Entry name -> bytes, as views of `data`, the content of the file at `path`.

    Raises WeightsError for damaged archives, and for entries that claim more than the file has or are compressed: no
    program that writes weights compresses them, and a decompression bomb has to. KeyError for a missing entry.
    """

    def __init__(self, path: Path, data: memoryview) -> None:
        self._name, self._data = path.name, data
        try:
            with zipfile.ZipFile(path) as archive:
                self._entries = {entry.filename: entry for entry in archive.infolist()}
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error):
            raise self._damaged() from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, key: str) -> memoryview:
        if key not in self._entries:
            raise KeyError(key)
        entry = self._entries[key]
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            raise WeightsError(
                f"{self._name}: refused: {shown(key)} in its zip archive is compressed or encrypted; expected entries "
                "stored as they are; save the file again"
            )
        header = self._data[entry.header_offset : entry.header_offset + 30]  # APPNOTE.TXT 4.3.7: local file header
        if len(header) < 30 or bytes(header[:4]) != b"PK\3\4":
            raise self._damaged()
        start = entry.header_offset + 30 + sum(struct.unpack_from("<HH", header, 26))
        if entry.file_size > len(self._data) - start:
            raise WeightsError(
                f"{self._name}: {shown(key)} in its zip archive claims {entry.file_size:,} bytes, but the file ends "
                "before that; get a new copy"
            )
        return self._data[start : start + entry.file_size]

    def _damaged(self) -> WeightsError:
        return WeightsError(f"{self._name}: its zip archive is truncated or damaged; get a new copy")
