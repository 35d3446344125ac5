"""A zip archive as a stream: what another program unpacks of it."""

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

from finetune.serving.zip_stream import zip_stream


def test_the_files_come_back_under_their_names(tmp_path: Path) -> None:
    files = []
    for number, name in enumerate(("ants/1.jpg", "Bärlauch 🌿/1.jpg", "bees/empty.jpg")):
        (tmp_path / str(number)).write_bytes(bytes(range(256)) * number)
        files.append((name, tmp_path / str(number)))
    pieces = list(zip_stream([*files, ("gone.jpg", tmp_path / "gone")]))
    with ZipFile(BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [name for name, _ in files]
        assert archive.read("bees/empty.jpg") == bytes(range(256)) * 2
    assert len(pieces) == 4, "a piece for each file, so that no more than one is in memory"


def test_no_files_are_an_empty_archive() -> None:
    with ZipFile(BytesIO(b"".join(zip_stream([])))) as archive:
        assert archive.namelist() == []
