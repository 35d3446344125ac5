"""Images, folders and lists whose names look like something else or that have a fault: none ends all others."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.written_files import write_files

from finetune.data.inputs import expand, expected_inputs
from finetune.errors import DataError


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_files(tmp_path / "here", {"a.png": 1, "sub/b.png": 2}))


def names(*arguments: str) -> list[str]:
    found = [str(name) for name in expand(arguments)]
    assert list(map(str, expected_inputs(arguments))) == found
    return found


@pytest.mark.parametrize(
    "name",
    ["@user.jpg", "@user", "x[2].jpg", "what?.jpg", "*.png", "photo.csv", "photo.txt", "@x.csv", "-rf.png", "a#1.png"],
)
def test_an_image_is_an_image_whatever_its_name(name: str) -> None:
    Path("a.png").rename(name)
    assert names(name) == [name]
    assert names(name, "gone.jpg", "sub") == [name, "gone.jpg", "sub/b.png"]


@pytest.mark.parametrize("name", ["@folder", "folder[1]", "folder.csv", "folder.txt", "folder.jpg"])
def test_a_folder_is_a_folder_whatever_its_name(name: str) -> None:
    Path("sub").rename(name)
    assert names(name, "a.png") == [f"{name}/b.png", "a.png"]


def test_a_list_is_read_where_no_file_has_the_name_with_the_at() -> None:
    Path("user.jpg").write_text("a.png\n")
    assert names("@user.jpg") == ["a.png"]
    Path("a.png").rename("@user.jpg")
    assert names("@user.jpg") == ["@user.jpg"]


NO_MATCH = "matches no images; check the pattern, or quote it so that the shell does not expand it"


@pytest.mark.parametrize(
    ("argument", "warning"),
    [
        ("missing[2].jpg", f"missing[2].jpg {NO_MATCH}"),
        ("*.gif", f"*.gif {NO_MATCH}"),
        ("empty", "empty contains no images; pass a folder of images"),
        ("texts", "texts contains no images; pass a folder of images"),
        ("@gone.txt", "the list gone.txt cannot be opened (No such file or directory); check its name"),
        ("@empty.txt", "@empty.txt lists no images; write one per line"),
        ("gone.csv", "gone.csv cannot be opened (No such file or directory); check its name"),
        ("other.csv", "other.csv, line 1: expected a column named path, found 'file'; name the columns in line 1"),
    ],
)
def test_one_fault_does_not_end_all(argument: str, warning: str, caplog: pytest.LogCaptureFixture) -> None:
    write_files(Path(), {"texts/a.txt": b"words", "empty.txt": b"\n", "other.csv": b"file\na.png\n"})
    Path("empty").mkdir()
    assert names("a.png", argument, "sub") == ["a.png", argument, "sub/b.png"]
    assert caplog.messages == [warning]
    with pytest.raises(DataError) as caught:
        expand([argument])
    assert str(caught.value) == warning


def test_faults_are_yielded_in_their_place_even_if_given_twice() -> None:
    assert names("@gone", "a.png", "@gone") == ["@gone", "a.png", "@gone"]


@pytest.mark.parametrize("name", ["list.txt", "list.lst", "LIST.TXT"])
def test_a_text_whose_first_line_names_an_image_is_a_list(name: str) -> None:
    Path(name).write_text("a.png\nsub/b.png\ngone.png\n")
    assert names(name) == names(f"@{name}") == ["a.png", "sub/b.png", "gone.png"]


@pytest.mark.parametrize("content", ["", "See a.png\n", "photos of 2024\na.png\n", "a\0b", "\xff" * 70_000])
def test_other_texts_are_files(content: str) -> None:
    Path("notes.txt").write_text(content)
    assert names("notes.txt") == ["notes.txt"]


def test_a_label_may_follow_a_name() -> None:
    """As in a list to train on; a name with a blank comes first."""
    Path("sub/b.png").rename("a.png 1")
    Path("a,b.png").write_bytes(Path("a.png 1").read_bytes())
    Path("list").write_text("a.png 0\na.png 1\na.png\tants\ngone.png 2\n")
    assert names("@list") == ["a.png", "a.png 1", "a.png", "gone.png 2"]
    Path("list").write_text("a.png,ants\na.png 1, ants\na,b.png x\na,b.png\n")
    assert names("@list") == ["a.png", "a.png 1", "a,b.png", "a,b.png"]


@pytest.mark.parametrize(
    "written",
    [
        lambda text: text.replace("\n", "\r\n").encode("utf-16"),
        lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
        lambda text: text.replace("\n", "\r").encode(),
        lambda text: text.replace("\n", "\r\n").encode("utf-8-sig"),
        lambda text: text.replace("/", "\\").encode(),
        lambda text: text.replace("/", "\\").replace("\n", "\r\n").encode("utf-16"),
    ],
    ids=["UTF-16", "UTF-16, big end first", "CR", "UTF-8 with CRLF", "backslashes", "Windows"],
)
def test_lists_of_other_systems(written: Callable[[str], bytes]) -> None:
    Path("list").write_bytes(written("a.png\nsub/b.png\n"))
    Path("list.csv").write_bytes(written("path\na.png\nsub/b.png\n"))
    assert names("@list") == names("list.csv") == ["a.png", "sub/b.png"]


def test_a_file_name_with_a_backslash_is_preferred() -> None:
    Path("sub\\b.png").write_bytes(Path("a.png").read_bytes())
    Path("list").write_text("sub\\b.png\n")
    assert names("@list") == ["sub\\b.png"]
