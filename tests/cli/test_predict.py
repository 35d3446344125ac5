"""`finetune predict`: inputs of every kind, one row each, and the exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from finetune.cli.predict import _show, _table, predict
from finetune.errors import DataError, FinetuneError, UsageError
from finetune.prediction import Prediction, Score

Finetune = Callable[..., tuple[int, str, str]]

app = typer.Typer()
app.command()(predict)


@pytest.fixture
def data(image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two images, next to an empty one; the current folder is the one above."""
    folder = image_folder(stripes=2)
    (tmp_path / "broken.png").touch()
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def run(tiny_weights: Path, data: Path) -> Callable[..., Result]:
    """Return a function that runs the command and raises what it raises."""

    def invoke(*arguments: object, stdin: bytes = b"") -> Result:
        every = [*map(str, arguments), "--model", str(tiny_weights)]
        return CliRunner().invoke(app, every, input=stdin, catch_exceptions=False)

    return invoke


def rows(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kind_of_input_gives_one_row_each(run: Callable[..., Result]) -> None:
    Path("names.txt").write_text("images/stripes/1.png\ngone.png\n")
    Path("names.csv").write_text("path,label\nimages/stripes/0.png,x\n")
    done = run(
        "images", "**/1.png", "@names.txt", "names.csv", "http://127.0.0.1/x.png", "broken.png", "-", "--json",
        stdin=b"images/stripes/0.png\n",
    )  # fmt: skip
    assert done.exit_code == 3
    assert [row["path"].removeprefix("images/stripes/") for row in rows(done)] == [
        "0.png", "1.png", "1.png", "1.png", "gone.png", "0.png", "http://127.0.0.1/x.png", "broken.png", "0.png",
    ]  # fmt: skip
    assert [row["error"] for row in rows(done) if "error" in row] == [
        "cannot be opened (No such file or directory)",
        "not fetched because FINETUNE_OFFLINE is set; unset it",
        "the file is empty",
    ]


def test_a_folder_in_a_list_is_one_row(run: Callable[..., Result]) -> None:
    """As find prints it before its files."""
    done = run("-", "--json", stdin=b"images/stripes\nimages/stripes/0.png\n")
    assert [row.get("error") for row in rows(done)] == ["cannot be opened (Is a directory)", None]


def test_names_that_end_with_nul(run: Callable[..., Result]) -> None:
    os.rename("images/stripes/0.png", "new\nline.png")  # noqa: PTH104
    done = run("-", "-0", "--json", stdin=b"new\nline.png\0images/stripes/1.png\0")
    assert (done.exit_code, [row["path"] for row in rows(done)]) == (0, ["new\nline.png", "images/stripes/1.png"])
    with pytest.raises(UsageError, match="-0 applies to names on stdin"):
        run("images", "-0")


def test_strict_stops_at_the_first(run: Callable[..., Result]) -> None:
    with pytest.raises(DataError, match=r"^--strict: broken\.png: the file is empty$"):
        run("images", "broken.png", "gone.png", "--strict")


def test_abstaining_is_shown(run: Callable[..., Result]) -> None:
    done = run("images", "--abstain-below", 1, "--top", 1)
    assert done.stdout.splitlines()[0] == "images/stripes/0.png  (abstained)"
    assert all(row["abstained"] for row in rows(run("images", "--abstain-below", 1, "--json")))
    assert "abstained" not in run("images").stdout


def test_ten_crops_give_other_probabilities(run: Callable[..., Result]) -> None:
    plain, ten = (rows(run("images", "--json", *option)) for option in ((), ("--ten-crop",)))
    assert [row["path"] for row in plain] == [row["path"] for row in ten]
    assert plain != ten


def test_names_cannot_reach_the_terminal(run: Callable[..., Result]) -> None:
    """A name may hold bytes that move the cursor or are no UTF-8; JSON escapes them."""
    names = b"\x1b[2Jna\xffme.png\nimages/stripes/0.png\n"
    done = run("-", stdin=names)
    assert done.stdout.splitlines()[0] == r"\x1b[2Jna\udcffme.png"
    row, _ = rows(run("-", "--json", stdin=names))
    assert row["path"] == "\x1b[2Jna\udcffme.png"


def test_class_names_cannot_reach_the_terminal() -> None:
    shown = _table(Prediction(Path("a.png"), (Score(0, "ant\x1b[2J", 0.75),)))
    assert shown.splitlines() == ["a.png", "   1   75.00 %  ant\\x1b[2J"]


@pytest.mark.slow
def test_a_reader_that_stops_early(data: Path, tiny_weights: Path) -> None:
    """As `finetune predict images | head -1`: no traceback."""
    (data / "more").mkdir()
    for number in range(200):
        (data / "more" / f"{number}.png").symlink_to(data / "stripes" / "0.png")
    command = [sys.executable, "-m", "finetune", "predict", str(data), "--model", str(tiny_weights), "--top", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


@pytest.mark.tensorflow
def test_explain_draws_one_picture(run: Callable[..., Result]) -> None:
    Path("one.txt").write_text("images/stripes/0.png\n")
    Path("list.txt").write_text("images/stripes/0.png\nimages/stripes/1.png\n")
    done = run("images/stripes/0.png", "--explain", "why.png", "--top", "1")
    assert done.exit_code == 0
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")
    for several in (
        ("images/stripes/0.png", "images/stripes/1.png"),
        ("images/stripes",),
        ("@list.txt",),
        ("images/**/*.png",),
    ):
        with pytest.raises(UsageError, match="--explain draws one image; name one, or use finetune explain for each"):
            run(*several, "--explain", "other.png")
    assert run("@one.txt", "--explain", "other.png").exit_code == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("why.png", "--explain why.png exists; choose another name$"),
        ("why.jpg", "--explain why.jpg: expected a name that ends in .png, .pdf or .svg$"),
        ("no/why.png", "--explain no/why.png: the folder no does not exist; create it first$"),
    ],
)
def test_explain_is_refused_before_the_rows(
    run: Callable[..., Result], name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its own option; predict has no --overwrite."""
    monkeypatch.setattr("finetune.classifier.load", lambda *_: pytest.fail("the model was loaded"))
    Path("why.png").write_text("mine")
    with pytest.raises(FinetuneError, match=message):
        run("images/stripes/0.png", "--explain", name)
    assert Path("why.png").read_text() == "mine"


def test_bars_on_a_terminal(
    finetune: Finetune, tiny_weights: Path, data: Path, terminal: Callable[[int], None]
) -> None:
    """Ten full blocks are a half; the lines without bars are those that are piped."""
    arguments = ("predict", "images", "broken.png", "--model", tiny_weights)
    _, piped, _ = finetune(*arguments)
    terminal(60)
    code, shown, err = finetune(*arguments)
    assert (code, err) == (3, "warning: 1 of 3 not read: 1 × the file is empty; each with its reason in the output\n")
    for line, plain in zip(shown.splitlines(), piped.splitlines(), strict=True):
        words = line.split()
        assert [word for word in words if not set(word) <= set("█▉▊▋▌▍▎▏")] == plain.split()
        if "%" in line:
            share = float(words[1].rstrip("%")) / 100
            assert line.count("█") == int(20 * share + 1 / 16) or line.count("█") == int(20 * share)


def test_a_long_label_does_not_break_the_line(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    terminal(60)
    _show(Prediction(Path("a.png"), (Score(0, "ant\x1b[2J" + "x" * 80, 0.5), Score(1, "bee", 0.0))))
    path, first, second = capsys.readouterr().out.splitlines()
    assert (path, len(first), first[-1]) == ("a.png", 60, "…")
    assert first.startswith("   1   50.00 %  ██████████            ant\\x1b[2Jxxx")
    assert second.rstrip() == "   2    0.00 %                        bee"


def test_a_mistyped_name_gets_its_hint_on_a_terminal_too(
    terminal: Callable[[int], None], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zebra.jpg").touch()
    missing = Prediction(Path("zebre.jpg"), (), error="cannot be opened")
    terminal(80)
    _show(missing)
    shown = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert shown == ["zebre.jpg", "     not read: cannot be opened (did you mean zebra.jpg?)"]
    assert _table(missing).splitlines() == shown


def test_no_readable_image_is_exit_code_1(run: Callable[..., Result]) -> None:
    for name in ("1.jpg", "2.jpg"):
        Path(name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(
        DataError, match=r"^2 of 2 not read: 2 × a Git LFS pointer, not the image \(run git lfs pull\); each with "
    ):
        run("1.jpg", "2.jpg")
