"""The path that a mistyped one means: the nearest name, where the path stops to exist."""

from pathlib import Path

import pytest

from finetune.system.nearest_path import did_you_mean_path


@pytest.mark.parametrize(
    ("mistyped", "meant"),
    [
        ("data/hymenoptra", "data/hymenoptera"),
        ("dta/hymenoptera/poodle.png", "data/hymenoptera/poodle.png"),
        ("data/hymenoptera/poodel.png", "data/hymenoptera/poodle.png"),
        ("data/hymenoptera/poodle.jpg", "data/hymenoptera/poodle.png"),
        ("data/flowers", None),
        ("dta/poodle.png", None),
        ("data/hymenoptera", None),
        ("data/hymenoptera/poodle.png/x", None),
        ("x" * 300, None),
        ("a\0b", None),
    ],
)
def test_the_nearest_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistyped: str, meant: str | None) -> None:
    (tmp_path / "data" / "hymenoptera").mkdir(parents=True)
    (tmp_path / "data" / "hymenoptera" / "poodle.png").touch()
    monkeypatch.chdir(tmp_path)
    assert did_you_mean_path(Path(mistyped)) == (f" (did you mean {meant}?)" if meant else "")
    there = f" (did you mean {tmp_path / meant}?)" if meant else ""
    assert did_you_mean_path(tmp_path / mistyped) == there


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.scandir", refuse)
    assert did_you_mean_path(tmp_path / "x") == ""
