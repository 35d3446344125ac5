"""The command line as a whole: help, versions, completion, stdout and stderr, exit codes."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.runs import started

from finetune import __version__
from finetune.data.dataset import Dataset
from finetune.model import Model

Finetune = Callable[..., tuple[int, str, str]]


def test_help_and_version(finetune: Finetune) -> None:
    code, out, err = finetune("--version")
    assert (code, err) == (0, "")
    assert re.fullmatch(rf"finetune {__version__}\nTensorFlow \d.*\nKeras \d.*\nOpenCV \d.*\nPillow \d.*\n", out)
    code, out, err = finetune()
    assert (code, err) == (0, "")
    for command in ("train", "predict", "score", "evaluate", "report", "demo", "weights", "summary", "benchmark"):
        assert f"  {command} " in out
        code, text, _ = finetune(command, "--help")
        assert code == 0
        assert "Usage" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--skp", "fc8"], "there is no option '--skp' (did you mean --skip?)"),
        (["train"], "--data is missing: name a folder"),
        (["train", "--resume", "x", "--epochs", "3"], "--resume takes no other option, but --epochs was given"),
        (["trian"], "there is no command 'trian' (did you mean finetune train?); finetune --help lists the commands"),
        (["train", "--data", "x", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "--data", "x", "--epochs", "0"], "--epochs must be 1 or more, not 0"),
        (["train", "--data", "x", "--resize", "stretch"], "Invalid value for '--resize'"),
        (["train", "--data", "x", "--lighting", "1.5"], "--lighting must be from 0 to 1, or paper, not 1.5"),
        (["train", "--data", "x", "--lighting", "strong"], "--lighting is 'strong'; expected paper or float"),
        (["train", "--data", "x", "--mean", "data"], "--mean data is the mean of your images"),
        (["predict", "x.png", "--mean", "data"], "--mean must be weights, none, or numbers from 0 to 255"),
        (["predict"], "Missing argument"),
        (["predict", "x.png", "--top", "0"], "Invalid value for '--top'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(finetune: Finetune, arguments: list[str], message: str) -> None:
    code, out, err = finetune(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("finetune: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_failed_work_is_one_line_and_exit_code_1(finetune: Finetune, tmp_path: Path) -> None:
    code, out, err = finetune("train", "--data", tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith(f"finetune: error: expected at least two class folders in {tmp_path}, found none")
    assert err.count("\n") == 1


@pytest.mark.tensorflow
def test_train_then_predict(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    data, run = image_folder(stripes=6, dots=6), tmp_path / "run"
    arguments = ("train", "--data", data, "--weights", tiny_weights, "--out", run, "--epochs", 2, "--skip", "fc8,fc7")
    code, out, err = finetune(*arguments)
    assert code == 0
    trained, accuracy, images, *paths = out.splitlines()
    assert trained == "trained   fresh fc7, fresh fc8; epoch 2 of 2, the last"
    assert re.fullmatch(r"accuracy  [\d.]+ % \(95 % interval: [\d.]+ % to [\d.]+ %\)", accuracy)
    assert images == "          of 2 validation images"
    assert paths == [
        f"model     {run / 'model.safetensors'}",
        f"report    {run / 'report.html'}",
        f"next      finetune predict IMAGE --model {run}",
        f"          finetune evaluate {run} --data IMAGES",
    ]
    assert "training  fc7 fresh, fc8 fresh; 2 epochs in batches of 32" in err
    assert re.search(r"^    2 .*\d  kept$", err, re.MULTILINE)

    assert finetune(*arguments)[::2] == (
        1, f"finetune: error: --out {run} already holds a run; choose another --out, or --overwrite to replace it\n",
    )  # fmt: skip
    assert finetune(*arguments, "--overwrite")[0] == 0

    image, missing = data / "dots" / "0.png", tmp_path / "missing.png"
    code, out, _ = finetune("predict", missing, image, "--model", run, "--json")
    assert code == 3
    first, second = map(json.loads, out.splitlines())
    assert first == {"path": str(missing), "error": "cannot be opened (No such file or directory)"}
    assert second["path"] == str(image)
    assert sum(row["probability"] for row in second["predictions"]) == pytest.approx(1)
    assert {row["label"] for row in second["predictions"]} == {"dots", "stripes"}

    code, out, _ = finetune("predict", image, "--model", run / "model.safetensors", "--top", 1)
    assert code == 0
    assert out.startswith(f"{image}\n   1  ")
    assert len(out.splitlines()) == 2


@pytest.mark.tensorflow
def test_ctrl_c_keeps_the_last_epoch_and_says_so(
    finetune: Finetune,
    image_folder: Callable[..., Path],
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from finetune.training.head import Head
    from finetune.training.trainable import LabelledRows

    evaluate = Head.evaluate
    evaluations = 0

    def interrupted(head: Head, data: LabelledRows) -> tuple[float, float]:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 3:
            raise KeyboardInterrupt
        return evaluate(head, data)

    monkeypatch.setattr(Head, "evaluate", interrupted)
    run = tmp_path / "run"
    code, out, err = finetune(
        "train", "--data", image_folder(stripes=4, dots=4), "--weights", tiny_weights, "--out", run, "--skip", "fc8"
    )
    assert code == 130
    assert "interrupted: 2 of 30 epochs are done; keeping the last" in err
    assert err.endswith(f"finetune: error: interrupted; continue with finetune train --resume {run}\n")
    assert f"model     {run / 'model.safetensors'}" in out
    assert finetune("predict", tmp_path / "images" / "dots" / "0.png", "--model", run)[0] == 0


def test_interrupted_before_anything(finetune: Finetune, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("finetune.training.train.start", interrupt)
    assert finetune("train", "--data", "x") == (130, "", "finetune: error: interrupted; nothing was finished\n")


def loaded_modules(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )


def test_the_command_line_loads_nothing_heavy() -> None:
    modules = loaded_modules("import finetune.cli.app")
    assert not modules & {"tensorflow", "keras", "cv2", "numpy"}


def test_errors_about_data_and_weights_need_no_tensorflow(tmp_path: Path, image_folder: Callable[..., Path]) -> None:
    data = image_folder(stripes=2, dots=2)
    code = (
        "from pathlib import Path\nfrom finetune.config import TrainConfig\nfrom finetune.errors import FinetuneError\n"
        "from finetune.training.train import train\n"
        f"try: train(TrainConfig(data=Path({str(data)!r}), weights='none', skip=('fc9',)))\n"
        "except FinetuneError: pass"
    )
    assert "tensorflow" not in loaded_modules(code)


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "images", "--model", "tiny.safetensors"),
        ("predict", "images/stripes/0.png", "--model", "tiny.safetensors", "--ten-crop"),
        ("evaluate", "run", "--data", "images"),
        ("check", "images"),
        ("weights", "inspect", "tiny.safetensors"),
        ("summary", "tiny.safetensors"),
    ],
    ids=" ".join,
)
def test_what_computes_little_needs_no_tensorflow(
    arguments: tuple[str, ...],
    image_folder: Callable[..., Path],
    tiny_model: Model,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor does it load the packages that only other commands need; `images` has ten images."""
    image_folder(stripes=4, dots=3, waves=3)
    monkeypatch.chdir(tmp_path)
    Path("tiny.safetensors").symlink_to(tiny_weights)
    names = ("dots", "stripes", "waves")
    run = started(Path("run"), {}, Dataset((), names))
    run.write_model(replace(tiny_model, class_names=names))
    run.write_metrics({})
    code = f"from finetune.cli.app import main\nsys.argv = ['finetune', *{arguments!r}]\n"
    modules = loaded_modules(code + "try: main()\nexcept SystemExit as end: assert not end.code, end.code")
    assert not modules & {"tensorflow", "keras", "matplotlib", "sklearn", "scipy", "h5py", "requests", "onnx"}


def test_the_versions_come_without_importing_anything() -> None:
    script = "import sys; from finetune.cli import app as cli; sys.argv = ['finetune', '--version']\n"
    script += "try: cli.main()\nexcept SystemExit: pass\nassert not {'tensorflow', 'keras', 'cv2'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    shown = [line.split()[0] for line in done.stdout.splitlines()]
    assert shown == ["finetune", "TensorFlow", "Keras", "OpenCV", "Pillow"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_of_every_shell(finetune: Finetune, shell: str) -> None:
    code, out, err = finetune("--show-completion", shell)
    assert (code, err) == (0, "")
    assert "_FINETUNE_COMPLETE" in out


def test_an_unknown_shell(finetune: Finetune) -> None:
    code, out, err = finetune("--show-completion", "tcsh")
    assert (code, out) == (2, "")
    assert err.startswith("finetune: error: Invalid value for '--show-completion'")


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        ("finetune tr", "train"),
        ("finetune train --lear", "--learning-rate"),
        ("finetune train --network alexnet-b", "alexnet-book alexnet-bn"),
        ("finetune train --weights bvlc_c", "bvlc_caffenet"),
        ("finetune train --weights n", "none"),
        ("finetune predict x.png --model st", "starter"),
        ("finetune predict x.png --model my", ""),
        ("finetune explain x.png --network caf", "caffenet"),
        ("finetune check x --model st", "starter"),
        ("finetune export st", "starter"),
        ("finetune summary vgg", "vgg16"),
        ("finetune benchmark alexnet-o", "alexnet-owt"),
        ("finetune weights fetch torchvision_v", "torchvision_vgg16"),
        ("finetune help tr", "train"),
        ("finetune help weights in", "inspect"),
    ],
)
def test_bash_completes_names(finetune: Finetune, monkeypatch: pytest.MonkeyPatch, words: str, complete: str) -> None:
    """The shell's script runs this."""
    monkeypatch.setenv("_FINETUNE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert finetune()[1].split() == complete.split()


def test_completion_is_installed_for_bash(finetune: Finetune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    code, out, _ = finetune("--install-completion", "bash")
    assert code == 0
    assert Path(out.strip()).is_relative_to(tmp_path)
    assert "finetune" in (tmp_path / ".bashrc").read_text()


def test_python_m_finetune() -> None:
    done = subprocess.run([sys.executable, "-m", "finetune", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"finetune {__version__}\n")


def test_a_name_that_the_terminal_cannot_show(tmp_path: Path, tiny_weights: Path) -> None:
    """Its characters are escaped, on stdout too, where Python would raise an error."""
    image = tmp_path / "Küche.png"
    cv2.imwrite(str(image), np.zeros((8, 8, 3), np.uint8))
    command = [sys.executable, "-m", "finetune", "predict", str(image), "--model", str(tiny_weights)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[0].endswith("K\\xfcche.png")
