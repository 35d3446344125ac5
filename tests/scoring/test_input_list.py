"""What is known of the inputs before they are scored."""

from pathlib import Path

import pytest

from finetune.scoring.input_list import InputList, read_input_list


def test_names_are_counted_and_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_bytes("a.png\nü\n".encode() + b"\xff.png\n")
    assert read_input_list(["@list.txt", "bb.jpg"]) == InputList(4, 6, {})


def test_columns_of_one_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    stimuli = Path("stimuli.CSV")
    stimuli.write_bytes('\ufeffpath, label ,onset\na.png,\'-ant,1\n"b,c.png",bü\n'.encode())
    inputs = read_input_list(["stimuli.CSV"])
    assert inputs == InputList(2, 7, {"label": 4, "onset": 1}, stimuli)
    assert list(inputs.lines()) == [("-ant", "1"), ("bü", "")]
    several = read_input_list(["stimuli.CSV", "stimuli.CSV"])
    assert several == InputList(4, 7, {})
    assert list(several.lines()) == []


def test_a_csv_from_excel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Semicolons, UTF-16, a column in another case, and a line that is a row of its own because it has a fault."""
    monkeypatch.chdir(tmp_path)
    stimuli = Path("stimuli.tsv")
    stimuli.write_bytes('PATH;Label\na.png;ä\n"x"y;b\nb.png;c\n'.encode("utf-16"))
    inputs = read_input_list(["stimuli.tsv"])
    assert inputs == InputList(3, len("stimuli.tsv, line 3"), {"Label": 2}, stimuli)
    assert list(inputs.lines()) == [("ä",), ("",), ("c",)]
