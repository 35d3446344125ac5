"""`finetune check`: what it prints where, the page and the list, and its errors."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from support.html_page import Page
from typer.testing import CliRunner, Result

from finetune.check.check import Check
from finetune.check.check import check as check_data
from finetune.cli.check import _classes, _report, check
from finetune.cli.terminal import show
from finetune.data.read_data import read_data
from finetune.errors import FinetuneError, RunError, UsageError

app = typer.Typer()
app.command()(check)


def invoke(*arguments: object) -> Result:
    """Run the command; raise what it raises."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def data(image_folder: Callable[..., Path]) -> Path:
    """Two classes of drawn textures with an empty file, a copy, and four files that are not images."""
    folder = image_folder(stripes=14, dots=14)
    (folder / "dots" / "broken.png").touch()
    (folder / "dots" / "<b>copy.png").write_bytes((folder / "dots" / "3.png").read_bytes())
    for number in range(4):
        (folder / "stripes" / f"clip.mp{number}").touch()
    return folder


def test_tables(data: Path) -> None:
    done = invoke(data)
    assert (done.exit_code, done.stderr) == (0, "")
    head, classes, hard, soft = done.stdout.rstrip("\n").split("\n\n")
    assert head == f"{data}: 30 images, 29 readable"
    assert [line.split()[0] for line in classes.splitlines()] == ["class", "dots", "stripes"]
    assert [sum(map(int, line.split()[1:])) for line in classes.splitlines()[1:]] == [15, 14]
    assert hard.splitlines()[0] == "hard: will hurt training"
    assert hard.splitlines()[1:] == ["  cannot be read  1  dots/broken.png: the file is empty"]
    assert soft.splitlines()[0] == "soft: worth knowing"
    assert re.search(r"  identical in one class +1  dots/3.png = dots/<b>copy.png: 2 images of 'dots' in ", soft)
    lines = [line.split(maxsplit=1)[-1].strip() for line in soft.splitlines() if "mp" in line or "more" in line]
    assert lines[-1] == "1 more", "three examples, the fourth in number only"


def test_test_images_have_a_column(image_folder: Callable[..., Path]) -> None:
    for split, count in (("train", 4), ("test", 2)):
        data = image_folder(f"data/{split}", stripes=count, dots=count).parent
    _, classes, *_ = invoke(data).stdout.split("\n\n")
    assert [line.split() for line in classes.splitlines()] == [
        ["class", "train", "val", "test"],
        ["dots", "4", "0", "2"],
        ["stripes", "4", "0", "2"],
    ]


def test_json_is_one_object(data: Path) -> None:
    (line,) = invoke(data, "--json").stdout.splitlines()
    found = json.loads(line)
    assert (found["files"], found["readable"]) == (30, 29)
    assert found["findings"][0] == {
        "kind": "unreadable",
        "severity": "hard",
        "message": "the file is empty",
        "files": [str(data / "dots" / "broken.png")],
    }


def test_page_and_list(data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="finetune.cli.check")
    html, clean = tmp_path / "check.html", tmp_path / "clean.csv"
    assert invoke(data, "--html", html, "--write-list", clean).exit_code == 0
    assert caplog.messages == [
        f"page {html}",
        f"list {clean}: 28 images; 2 excluded: cannot be read (1), identical in one class (1)",
    ]
    assert len(read_data(clean).records) == 28
    page = Page(html.read_text(encoding="utf-8"))
    images = [attributes["src"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 2, "the two copies; nothing can be shown of the others"
    assert all(image.startswith("data:image/jpeg;base64,") for image in images)
    assert not {"script", "link", "b"} & {tag for tag, _ in page.tags}
    assert all((attributes["href"] or "").startswith("#") for tag, attributes in page.tags if tag == "a")
    assert "dots/<b>copy.png" in page.words
    assert "1 × cannot be read" in page.words


def test_a_page_without_findings(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    assert invoke(image_folder(stripes=14, dots=14), "--html", tmp_path / "check.html").exit_code == 0
    page = Page((tmp_path / "check.html").read_text(encoding="utf-8"))
    assert page.words.count("Nothing found.") == 2


def test_names_that_would_control_a_terminal(data: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(data / "dots") + b"/a\xff\n\x1b.png"))
    odd.touch()
    assert r"dots/a\udcff\n\x1b.png: the file is empty" in invoke(data).stdout


def test_outputs_that_are_refused(data: Path, tmp_path: Path) -> None:
    def refused(kind: type[FinetuneError], *arguments: object) -> str:
        with pytest.raises(kind) as error:  # exit code 1 or 2
            invoke(data, *arguments)
        return str(error.value)

    page, listing = tmp_path / "page.html", tmp_path / "data.csv"
    assert refused(UsageError, "--html", data / "check.html") == (
        f"--html {data / 'check.html'} is in the data; choose a place outside {data}"
    )
    assert "is in the data" in refused(UsageError, "--write-list", data / "dots" / "clean.csv")
    assert (
        refused(UsageError, "--html", tmp_path / "page")
        == f"--html {tmp_path / 'page'}: expected a name that ends in .html"
    )
    assert "expected a name that ends in .csv" in refused(UsageError, "--write-list", tmp_path / "list.txt")
    assert refused(RunError, "--html", tmp_path / "no" / "x.html").endswith(
        f"the folder {tmp_path / 'no'} does not exist; create it first"
    )
    page.write_text("mine")
    assert (
        refused(RunError, "--html", page) == f"--html {page} exists; choose another name, or --overwrite to replace it"
    )
    assert page.read_text() == "mine"
    assert invoke(data, "--html", page, "--overwrite").exit_code == 0
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    (tmp_path / "folder.html").mkdir()
    assert "is a folder" in refused(RunError, "--html", tmp_path / "folder.html", "--overwrite")
    listing.write_text("path,label\n")
    with pytest.raises(UsageError, match="is in the data"):
        invoke(listing, "--write-list", listing, "--overwrite")
    assert listing.read_text() == "path,label\n"


def test_a_folder_that_cannot_be_written(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device", str(tmp_path / "check.html"))

    monkeypatch.setattr("finetune.check.page.replacing", full)
    with pytest.raises(FinetuneError, match=r"check.html cannot be written \(No space left on device\)"):
        invoke(data, "--html", tmp_path / "check.html")


def test_no_such_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none does not exist; check its name"):
        invoke(tmp_path / "none")


def test_a_terminal_shows_the_largest_and_the_smallest_of_many_classes(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {f"class{index}": Counter[str](train=index) for index in range(1000)}
    checked = Check(Path("data"), (), counts, {}, ())
    show(_classes(checked))
    assert len(capsys.readouterr().out.splitlines()) == 1001, "what is piped is complete"
    terminal(100)
    show(_classes(checked))
    _, *lines, below = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [*map(str, range(999, 989, -1)), *map(str, range(9, -1, -1))]
    assert below == "the 10 classes with the most images and the 10 with the fewest; check --json has all 1,000"


@pytest.mark.parametrize("width", [60, 80])
def test_findings_fit_a_terminal(
    width: int, data: Path, terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(width)
    show(*_report(check_data(data)))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert any("cannot be read" in line for line in lines)
