"""What the arguments mean: one input per image, in order."""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from finetune.data import inputs
from finetune.data.images import FaultyLine
from finetune.data.inputs import each_image, expand
from finetune.errors import DataError, UsageError
from finetune.runs.run import MANIFEST

PNG = b"\x89PNG\r\n\x1a\n...."


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in the current folder, one of them without extension, one hidden; and a text."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.jpg", "a.png", "sub/c.jpg", "sub/.hidden.jpg", "notes.txt"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    Path("sub/d").write_bytes(PNG)


def pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(inputs.sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))  # type: ignore[type-var]


def names(*arguments: str, null: bool = False) -> list[str]:
    return [str(name) for name in expand(arguments, null)]


def test_files_are_returned_whether_or_not_they_exist() -> None:
    assert names("b.jpg", "notes.txt", "gone.jpg", "b.jpg") == ["b.jpg", "notes.txt", "gone.jpg", "b.jpg"]
    assert list(expand(["train-images#7"])) == [Path("train-images#7")]


def test_urls_stay_text() -> None:
    assert list(expand(["http://host//x.jpg?a=*", "ftp://host/x"])) == ["http://host//x.jpg?a=*", "ftp://host/x"]


def test_folders_mean_their_images_sorted() -> None:
    assert names("sub", "b.jpg") == ["sub/c.jpg", "sub/d", "b.jpg"]
    assert names(".") == ["a.png", "b.jpg", "sub/c.jpg", "sub/d"]


def test_patterns_mean_the_images_they_match_sorted(tmp_path: Path) -> None:
    assert names("*") == ["a.png", "b.jpg"]
    assert names("*.[jp][pn]g") == ["a.png", "b.jpg"]
    assert names("**/*.jpg") == ["b.jpg", "sub/c.jpg"]
    assert names(f"{tmp_path}/?.jpg") == [f"{tmp_path}/b.jpg"]
    Path("b[1].jpg").touch()
    assert names("b[1].jpg") == ["b[1].jpg"], "a file of that very name wins"


def test_clutter_is_ignored_unless_it_is_named() -> None:
    for name in ("__MACOSX/sub/._c.jpg", "__MACOSX/c.jpg", "sub/@eaDir/c.jpg/THUMB.jpg", "._a.png", "sub/phone.HEIC"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert names(".") == ["a.png", "b.jpg", "sub/c.jpg", "sub/d", "sub/phone.HEIC"]
    assert names("**/*") == ["a.png", "b.jpg", "sub/c.jpg", "sub/d", "sub/phone.HEIC"]
    assert names("sub/@eaDir/**/*.jpg") == ["sub/@eaDir/c.jpg/THUMB.jpg"]


@pytest.mark.parametrize("argument", ["@pipe", "pipe.csv"])
def test_a_list_that_is_a_pipe(argument: str) -> None:
    """It can be read only once, and opening it waits for a writer."""
    name = argument.removeprefix("@")
    os.mkfifo(name)
    with pytest.raises(
        DataError, match=rf"^the list {name} is a pipe or device, expected a file; pass - and pipe the names .*$"
    ):
        expand([argument])


def test_a_list_has_a_name_per_line(tmp_path: Path) -> None:
    """Relative to the list, else to the current folder; blank lines, CRLF and a byte order mark are ignored."""
    Path("sub/list.txt").write_bytes(
        b"\xef\xbb\xbfc.jpg\r\n\n  b.jpg\nb.jpg\nhttp://host/x.jpg\ngone.jpg\nna\xffme.jpg"
    )
    assert names("@sub/list.txt") == [
        "sub/c.jpg", "sub/  b.jpg", "b.jpg", "http://host/x.jpg", "sub/gone.jpg", "sub/na\udcffme.jpg",
    ]  # fmt: skip


def test_csv_with_a_column_path() -> None:
    Path("sub/list.csv").write_text('label, path\nx,c.jpg\n"y, z","b.jpg"\nx,"a, b.jpg"\n')
    assert names("sub/list.csv") == ["sub/c.jpg", "b.jpg", "sub/a, b.jpg"]
    Path("sheet.csv").write_text("path\n'=1+1.jpg\n'-rf.jpg\n")  # written so that no spreadsheet computes it
    assert names("sheet.csv") == ["=1+1.jpg", "-rf.jpg"]
    Path(MANIFEST).write_text("path,label,split\nsub/c.jpg,ants,train\n")
    assert names(MANIFEST) == ["sub/c.jpg"]


def test_names_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe(monkeypatch, b"b.jpg\nsub/c.jpg\r\n\nhttp://host/x\n-\n@x")
    assert names("a.png", "-") == ["a.png", "b.jpg", "sub/c.jpg", "http://host/x", "-", "@x"]
    pipe(monkeypatch, b"new\nline.jpg\0sub/c.jpg\0")
    assert names("-", null=True) == ["new\nline.jpg", "sub/c.jpg"]


def test_names_may_be_cut_by_the_reader_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_CHUNK", 3)
    pipe(monkeypatch, b"one.jpg\n\ntwo.jpg\r\nthree.jpg")
    assert names("-") == ["one.jpg", "two.jpg", "three.jpg"]


def test_a_long_list_is_read_only_as_far_as_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        read_so_far = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            buffer[:6] = b"x.jpg\n"
            Endless.read_so_far += 6
            return 6

    monkeypatch.setattr(inputs.sys, "stdin", io.TextIOWrapper(io.BufferedReader(Endless(), 64)))
    endless: Iterator[Path | str] = expand(["-"])
    assert [next(endless) for _ in range(50)] == [Path("x.jpg")] * 50
    assert Endless.read_so_far <= 600


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["-", "b.jpg", "-"], UsageError, r"- is given twice, but stdin can be read only once"),
        (["*.gif"], DataError, r"\*\.gif matches no images; check the pattern, or quote it"),
        (["empty"], DataError, r"empty contains no images; pass a folder of images"),
        (["@gone.txt"], DataError, r"the list gone\.txt cannot be opened \(No such file or directory\)"),
        (["@empty"], DataError, r"the list empty cannot be opened \(Is a directory\)"),
        (["@notes.txt"], DataError, r"@notes\.txt lists no images; write one per line"),
        (["gone.csv"], DataError, r"gone\.csv cannot be opened \(No such file or directory\); check its name"),
        (["other.csv"], DataError, r"other\.csv, line 1: expected a column named path, found 'file,label'"),
        (["none.csv"], DataError, r"none\.csv lists no images; write one per line"),
        (["comma.csv"], DataError, r"comma\.csv, line 2: expected 1 fields, found 2; quote paths that contain a comma"),
        (["hole.csv"], DataError, r"hole\.csv, line 2: no path"),
        (["@nul.txt"], DataError, r"nul\.txt, name 1: expected one name per line, found a NUL; pipe .* into - with -0"),
        (["@huge.txt"], DataError, r"huge\.txt: expected a list, found a line of over 65,536 characters; check it"),
    ],
)
def test_wrong_arguments_are_reported_before_any_image_is_read(
    arguments: list[str], error: type[Exception], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Alone they are errors; next to others each is a name that cannot be read, with a warning that says why."""
    Path("empty").mkdir()
    Path("other.csv").write_text("file,label\nx,y\n")
    Path("none.csv").write_text("path\n")
    Path("comma.csv").write_text("path\na,b.jpg\n")
    Path("hole.csv").write_text("path,label\n,x\n")
    Path("nul.txt").write_bytes(b"a.jpg\0b.jpg\0")
    Path("huge.txt").write_bytes(b"x" * 200_000)
    with pytest.raises(error, match=message):
        expand(arguments)
    if error is DataError:
        assert list(expand(["b.jpg", *arguments])) == [Path("b.jpg"), *map(Path, arguments)]
        assert re.search(message, caplog.text)


def test_nul_without_stdin_and_nothing_on_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="-0 applies to names on stdin; it needs - among the inputs"):
        expand(["b.jpg"], null=True)
    pipe(monkeypatch, b"\n\n")
    with pytest.raises(DataError, match="expected names of images on stdin, but it was empty"):
        list(expand(["-"]))


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b'path\nb.jpg\n"x"y\nc.jpg\n', "list.csv, line 3", "invalid CSV (..."),
        (b"path\nb.jpg\n \nc.jpg\n", "list.csv, line 3", "no path; expected path"),
        (b"path\nb.jpg\na,d.jpg\nc.jpg\n", "list.csv, line 3", "expected 1 fields, found 2; quote paths that ..."),
        (b"path;x\nb.jpg;\na\0;d\nc.jpg;\n", "list.csv, line 3", "expected text, found a NUL; save the list in ..."),
        (b"path\n,,\nb.jpg\nc.jpg\n", "list.csv, line 2", "expected 1 fields, found 3; quote paths that ..."),
        (b"b.jpg\na\0b.jpg\nc.jpg\n", "list.txt, name 2", "expected one name per line, found a NUL; pipe names ..."),
    ],
)
def test_a_damaged_line_of_a_list_is_a_row(content: bytes, place: str, reason: str) -> None:
    name = place.partition(",")[0]
    Path(name).write_bytes(content)
    good, bad = [Path("b.jpg"), Path("c.jpg")], FaultyLine(place, reason)
    found = list(expand([name if name.endswith("csv") else f"@{name}"]))
    assert [each for each in found if isinstance(each, Path)] == good
    (fault,) = (each for each in found if isinstance(each, FaultyLine))
    assert str(fault) == place
    assert fault.reason.startswith(bad.reason.removesuffix("..."))


@pytest.mark.parametrize("end", [b"x" * 70_000, b"\xff\xfe"])
def test_what_ends_a_list_early_is_its_last_row(end: bytes) -> None:
    """A line that is too long, and half a character of UTF-16."""
    utf_16 = len(end) == 2
    lines = "b.jpg\na.png\n"
    Path("list.txt").write_bytes((lines.encode("utf-16") + b"x") if utf_16 else lines.encode() + end + b"\nc.jpg")
    *names, last = expand(["@list.txt"])
    assert names == [Path("b.jpg"), Path("a.png")]
    assert isinstance(last, FaultyLine)
    assert last.place == "@list.txt"
    kind = "it begins like UTF-16" if utf_16 else "expected a list, found a line of over 65,536 characters"
    assert kind in last.reason
    assert last.reason.endswith(" (what follows in it is not read)")


def test_nothing_on_stdin_next_to_other_arguments(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pipe(monkeypatch, b"\n")
    assert names("b.jpg", "-", "a.png") == ["b.jpg", "-", "a.png"]
    assert caplog.messages == ["expected names of images on stdin, but it was empty; pipe a list into the command"]
    pipe(monkeypatch, b"b.jpg\nx\0y\na.png")
    first, fault, last = expand(["-"])
    assert (first, str(fault), last) == (Path("b.jpg"), "stdin, name 2", Path("a.png"))


def test_overlong_names_are_passed_on() -> None:
    long = "x" * 5000
    assert names(long) == [long]
    Path("list.txt").write_text(long)
    assert names("@list.txt") == [long]


def test_loops_of_links_end() -> None:
    Path("sub/up").symlink_to("..")
    assert names("sub") == ["sub/c.jpg", "sub/d"]


ARRAY = np.zeros((4, 4, 3), np.uint8)
DRAWN = Image.new("RGB", (4, 4))


@pytest.mark.parametrize(
    "one",
    ["a.jpg", Path("b"), "http://host/x.jpg", ARRAY, ARRAY[..., 0], DRAWN],
    ids=["name", "path", "URL", "colour array", "gray array", "PIL image"],
)
def test_one_image_or_several(one: object) -> None:
    """The rows of an array are not taken for gray images, nor the letters of a name for names."""
    (found,) = each_image(one)  # type: ignore[arg-type]
    assert found is one
    several = list(each_image(iter([one, one])))  # type: ignore[list-item]
    assert len(several) == 2
    assert all(each is one for each in several)


def test_an_array_of_four_dimensions_is_several_images() -> None:
    assert [image.shape for image in each_image(np.stack([ARRAY] * 3))] == [(4, 4, 3)] * 3  # type: ignore[union-attr]


def test_a_folder_means_its_images_unless_every_path_is_one_image(caplog: pytest.LogCaptureFixture) -> None:
    assert list(each_image("sub")) == [Path("sub/c.jpg"), Path("sub/d")]
    assert list(each_image([Path("b.jpg"), "sub"])) == [Path("b.jpg"), Path("sub/c.jpg"), Path("sub/d")]
    assert list(each_image(["sub"], folders=False)) == ["sub"]
    Path("empty").mkdir()
    with pytest.raises(DataError, match=r"^empty contains no images; pass a folder of images$"):
        list(each_image("empty"))
    assert list(each_image(["empty", "b.jpg"])) == ["empty", "b.jpg"]
    assert caplog.messages == ["empty contains no images; pass a folder of images"]


@pytest.mark.parametrize(("images", "kind"), [(None, "NoneType"), ([3], "int"), (b"a.jpg", "int"), ([["a"]], "list")])
def test_what_is_not_an_image(images: object, kind: str) -> None:
    with pytest.raises(
        UsageError, match=rf"^expected paths, URLs, arrays or PIL images, got {kind}; pass one or several$"
    ):
        list(each_image(images))  # type: ignore[arg-type]
