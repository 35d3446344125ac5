"""The blocks of the documents that are marked with `<!-- run -->` run one after the other, on drawn images."""

import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.caffe_prototxt import net_text, write_solver
from support.documents import DOCUMENTS, Block, blocks

from finetune.cli import app as cli
from finetune.networks import build

# The commands to train as another program does, which need weights that are not in the repository.
OTHER_PROGRAMS = [
    line
    for block in blocks("docs/old-scripts.md")
    for line in block.commands
    if re.search("train .*--(weights|network)", line)
]
RUNNING = [document for document in DOCUMENTS if any(block.runs for block in blocks(document))]


def test_most_documents_run() -> None:
    assert len(RUNNING) >= 10


def test_a_block_that_no_shell_and_no_python_reads_is_not_marked() -> None:
    marked = {block.language for document in DOCUMENTS for block in blocks(document) if block.runs}
    assert marked == {"sh", "console", "python"}


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("document", RUNNING)
def test_the_examples_of_a_document_run(
    document: str,
    image_folder: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    data = image_folder("images", stripes=6, dots=6)
    (tmp_path / "photo.jpg").write_bytes((data / "dots" / "0.png").read_bytes())
    for split, numbers in (("train", "0123"), ("val", "45")):
        lines = [f"images/{name}/{number}.png {name}\n" for name in ("dots", "stripes") for number in numbers]
        (tmp_path / f"{split}.txt").write_text("".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    if "finetune-demo" in "".join(block.text for block in blocks(document)):
        run_line("finetune demo", monkeypatch)
    for block in blocks(document):
        if block.runs and block.language == "python":
            exec(compile(block.text, document, "exec"), {})
        elif block.runs:
            capfd.readouterr()
            for line in block.commands:
                run_line(line, monkeypatch)
            compare(block, "".join(capfd.readouterr()))


def test_there_are_commands_for_three_other_programs() -> None:
    assert len(OTHER_PROGRAMS) == 5


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("line", OTHER_PROGRAMS)
def test_the_options_for_another_program_fit_together(
    line: str,
    image_folder: Callable[..., Path],
    finetune: Callable[..., tuple[int, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Planned with the starter on drawn images; the solver's net is the starter's, with its own name for fc8."""
    data = image_folder(stripes=6, dots=6)
    monkeypatch.chdir(tmp_path)
    starter = build("alexnet", {"num_classes": 2, "input_size": 163, "fc_units": 1024})
    write_solver(Path("models/finetune_flickr_style"), net_text(starter, {"fc8": "fc8_flickr"}))
    own = re.sub(r"--(data|weights|network) \S+ ?", "", line)
    _, *words = shlex.split(own)
    code, shown, error = finetune(*words, "--data", data, "--weights", "starter", "--dry-run")
    assert code == 0, error
    assert "fresh and" in shown + error


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line; the last command of a pipe, if it is finetune, in this process, which has TensorFlow already."""
    before, _, command = line.rpartition(" | ")
    if not command.startswith("finetune "):
        subprocess.run(line, shell=True, check=True)
        return
    if before:
        names = subprocess.run(before, shell=True, capture_output=True, check=True).stdout
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(names)))
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code in (0, None), line


def compare(block: Block, printed: str) -> None:
    """Fail if a line of output in the block is not among the lines that were printed, apart from digits and spaces."""
    if block.language == "console":
        lines = [line for line in block.text.splitlines() if line != "…" and not line.startswith("$ ")]
        assert lines
        assert [line for line in lines if without_digits(line) not in map(without_digits, printed.splitlines())] == []


def without_digits(line: str) -> str:
    """Return the line without the bars, too, which only a terminal shows."""
    return " ".join(re.sub(r"[\d.]+", "0", re.sub("[█-▏]+", "", line)).split())
