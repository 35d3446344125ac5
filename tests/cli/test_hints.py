"""A wrong command line gets one line on stderr that names what was probably meant, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

import pytest

Finetune = Callable[..., tuple[int, str, str]]

NETWORKS = "the networks are alexnet, caffenet, alexnet-owt, alexnet-book, alexnet-bn, alexnet-mnist, vgg16"
GPU = "TensorFlow uses a GPU by itself if it finds one"


def lists(command: str) -> str:
    return f" (finetune {command} --help lists the options)"


def no_command(name: str, meant: str) -> str:
    return f"there is no command {name!r} (did you mean finetune {meant}?); finetune --help lists the commands"


# Each command line with its message; the current folder has hymenoptera/ants/1.png and photo.jpg.
HINTS = {
    # arguments in place of options
    "train pictures": f"finetune train does not take pictures here; did you mean --data pictures?{lists('train')}",
    "train --epochs 3 pictures": (
        f"finetune train does not take pictures here; did you mean --data pictures?{lists('train')}"
    ),
    "evaluate run pictures": (
        f"finetune evaluate does not take pictures here; did you mean --data pictures?{lists('evaluate')}"
    ),
    "train --data x --skip fc7 fc8": (
        f"finetune train does not take fc8 here; separate names by commas: --skip fc7,fc8{lists('train')}"
    ),
    "train --data x --train=fc6 fc7 fc8 --epochs 3": (
        f"finetune train does not take fc7 fc8 here; separate names by commas: --train fc6,fc7,fc8{lists('train')}"
    ),
    "train -- --a=b": f"finetune train does not take --a=b here; did you mean --data --a=b?{lists('train')}",
    "check photos more": f"finetune check does not take more here; omit it{lists('check')}",
    # options under another name, and with a mistake
    "train --data x --lr 0.1": f"there is no option '--lr' (did you mean --learning-rate?){lists('train')}",
    "train --data x --batch 8": f"there is no option '--batch' (did you mean --batch-size?){lists('train')}",
    "predict x --model-path run": f"there is no option '--model-path' (did you mean --model?){lists('predict')}",
    "predict x --no 3": f"there is no option '--no'{lists('predict')}",
    "train --data x --device gpu": f"there is no option '--device' ({GPU}; omit --device){lists('train')}",
    "predict photo.jpg --gpu": f"there is no option '--gpu' ({GPU}; omit --gpu){lists('predict')}",
    "train --data x --epoch 3": f"there is no option '--epoch' (did you mean --epochs?){lists('train')}",
    "predict photo.jpg --lr 3": f"there is no option '--lr'{lists('predict')}",
    "--verison": "there is no option '--verison' (did you mean --version?) (finetune --help lists the options)",
    # values
    "export starter --to tflite": (
        "Invalid value for '--to': expected saved_model, keras, litert, litert-int8, onnx, npy, web or web-int8, got "
        f"'tflite' (did you mean litert?){lists('export')}"
    ),
    "train --data x --augmentation stong": (
        "Invalid value for '--augmentation': expected none, light, alexnet or strong, got 'stong' "
        f"(did you mean strong?){lists('train')}"
    ),
    "train --data x --epochs ten": (
        f"Invalid value for '--epochs': expected a whole number, got 'ten'{lists('train')}"
    ),
    "train --data x --learning-rate fast": (
        f"Invalid value for '--learning-rate': expected a number, got 'fast'{lists('train')}"
    ),
    "predict x --top 0": (
        f"Invalid value for '--top': Input should be greater than or equal to 1, got '0'{lists('predict')}"
    ),
    "train --data hymenoptera --network resnet50": f"there is no network 'resnet50'; {NETWORKS}",
    "train --data hymenoptera --network alexnt": f"there is no network 'alexnt' (did you mean alexnet?); {NETWORKS}",
    "predict photo.jpg --network resnet50": f"there is no network 'resnet50'; {NETWORKS}",
    # commands
    "classify photo.jpg": no_command("classify", "predict photo.jpg"),
    "inspect FILE": no_command("inspect", "weights inspect FILE"),
    "fit": no_command("fit", "train"),
    "evalute run --json": no_command("evalute", "evaluate run --json"),
    "xyz": "there is no command 'xyz'; finetune --help lists the commands",
    "weights inpsect": (
        "there is no command 'inpsect' (did you mean finetune weights inspect?); "
        "finetune weights --help lists the commands"
    ),
    "help trian": no_command("trian", "train"),
    # data
    "train --data hymenoptra": (
        "expected a folder or list of images, but hymenoptra does not exist (did you mean hymenoptera?); check its name"
    ),
    "check hymenoptra/ants": (
        "expected a folder or list of images, but hymenoptra/ants does not exist (did you mean hymenoptera/ants?); "
        "check its name"
    ),
    "train --data photo.jpg": (
        "expected a folder or list of images, but photo.jpg is an image; name the folder of the classes"
    ),
}


@pytest.mark.parametrize(("line", "message"), HINTS.items())
def test_hints(finetune: Finetune, here: Path, line: str, message: str) -> None:
    before = sorted(here.rglob("*"))
    assert finetune(*line.split()) == (2, "", f"finetune: error: {message}\n")
    assert sorted(here.rglob("*")) == before


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the current folder one with images."""
    (tmp_path / "hymenoptera" / "ants").mkdir(parents=True)
    (tmp_path / "hymenoptera" / "ants" / "1.png").touch()
    (tmp_path / "photo.jpg").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "hint"),
    [
        (
            "explain phota.jpg --out o.png --model tiny",
            1,
            "(No such file or directory) (did you mean photo.jpg?)",
        ),
        ("predict photo.jpg --model hymenopter", 1, "published name (did you mean hymenoptera?)"),
        ("evaluate hymenopter", 1, "hymenopter has no model.safetensors (did you mean hymenoptera?): expected a run"),
    ],
)
def test_mistyped_files_of_other_commands(
    finetune: Finetune, here: Path, tiny_weights: Path, line: str, code: int, hint: str
) -> None:
    found, _, err = finetune(*line.replace("tiny", str(tiny_weights)).split())
    assert (found, err.count("\n")) == (code, 1)
    assert hint in err


@pytest.mark.tensorflow
def test_a_mistyped_image_is_a_row_with_the_nearest_name(finetune: Finetune, here: Path, tiny_weights: Path) -> None:
    """As every image that cannot be read; programs read the reason alone, from --json."""
    reason = "cannot be opened (No such file or directory)"
    code, out, _ = finetune("predict", "phtoo.jpg", "--model", tiny_weights)
    assert (code, out) == (1, f"phtoo.jpg\n     not read: {reason} (did you mean photo.jpg?)\n")
    assert f'"{reason}"' in finetune("predict", "phtoo.jpg", "--model", tiny_weights, "--json")[1]


@pytest.mark.tensorflow
def test_layers_in_any_case(
    finetune: Finetune, image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path
) -> None:
    options = ("--data", image_folder(stripes=2, dots=2), "--weights", tiny_weights, "--dry-run")
    for choice in (("--skip", "FC8,Fc7"), ("--stages", "FC8:1,FC7-FC8:1"), ("--train", "FC7", "--skip", "FC8")):
        code, out, err = finetune("train", *options, *choice)
        assert code == 0, err
        assert "fc8    fresh    trained" in out
    features = ("--features", "FC7", "--model", tiny_weights, "--out", tmp_path / "fc7.npy")
    assert finetune("score", tmp_path / "images", *features)[0] == 0
