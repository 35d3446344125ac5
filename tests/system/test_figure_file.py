"""Where figures may be written, and the three kinds of file: the same bytes every time, letters as text in an SVG."""

from pathlib import Path

import numpy as np
import pytest

from finetune.system.figure_file import figure_file

STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}


def draw(path: Path) -> bytes:
    with figure_file(path, 2, 1) as figure:
        axes = figure.add_subplot()
        axes.imshow(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
        axes.set_title("$x_{ 鹤 <b>")
    return path.read_bytes()


@pytest.mark.parametrize("ending", STARTS)
def test_the_ending_chooses_the_kind(tmp_path: Path, ending: str) -> None:
    first = draw(tmp_path / f"a{ending.upper()}")
    assert first.startswith(STARTS[ending])
    assert first == draw(tmp_path / f"b{ending}")
    assert not any(word in first for word in (b"matplotlib.org", b"Date>", b"CreationDate"))


def test_letters_stay_text_and_pixels_an_image(tmp_path: Path) -> None:
    drawn = draw(tmp_path / "a.svg").decode()
    assert "$x_{ 鹤 &lt;b&gt;</text>" in drawn
    assert drawn.count("data:image/png;base64,") == 1
    assert b"/Type0" in draw(tmp_path / "a.pdf"), "an embedded TrueType font, as journals demand"


def test_nothing_is_written_unless_the_figure_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), figure_file(path, 2, 1):
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
