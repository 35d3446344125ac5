"""`finetune demo`; `test_end_to_end.py` runs all of it."""

from collections.abc import Callable
from pathlib import Path

Finetune = Callable[..., tuple[int, str, str]]


def test_an_existing_folder_is_an_error(finetune: Finetune, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    assert finetune("demo", "--out", tmp_path) == (
        1, "", f"finetune: error: {tmp_path / 'images'} already exists; choose another --out\n",
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
