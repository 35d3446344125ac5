"""`finetune export`: what it prints where, what it leaves, and what it says when it cannot."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from support.exports import stand_in_runtime
from support.runs import started
from typer.testing import CliRunner, Result

from finetune.cli.export import export
from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError, UsageError, WeightsError
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.runs.run import Run

app = typer.Typer()
app.command()(export)


def invoke(*arguments: object) -> Result:
    """Run the command; raise what it raises."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def run(image_folder: Callable[..., Path], tiny_model: Model, tmp_path: Path) -> Path:
    """A finished run of three classes with three images each, one of them for validation."""
    data = image_folder(stripes=3, dots=3, waves=3)
    records = [
        Record(data / name / f"{i}.png", label, "val" if i == 2 else "train", "")
        for label, name in enumerate(("stripes", "dots", "waves"))
        for i in range(3)
    ]
    made = Run(tmp_path / "run")
    config = {
        "data": str(data),
        "data_sha256": "12ab",
        "source_weights": {"name": "starter", "sha256": "34cd"},
        "versions": {"finetune": "0.0.9"},
    }
    started(made.path, config, Dataset(tuple(records), tiny_model.class_names))
    about = {"source_weights": config["source_weights"], "temperature": 1.5}
    made.write_model(Model(tiny_model.network, tiny_model.weights, tiny_model.class_names, about))
    return made.path


def test_a_run_to_npy_with_its_card(run: Path) -> None:
    done = invoke(run, "--to", "npy")
    folder = run / "export-npy"
    assert (done.exit_code, done.stdout) == (0, f"{folder}\n")
    assert {path.name for path in folder.iterdir()} == {"README.md", "classes.txt", "model.npy"}
    assert (folder / "classes.txt").read_text(encoding="utf-8") == "red\ngreen\nblue\n"
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "| 1 | green | 2 | 1 |" in card
    assert "`images`: 6 training images, 3 validation images, 0 skipped" in card
    assert str(run.parent) not in card, "whoever gets the model need not know the layout of this disk"
    assert "`starter` (part of this package), SHA-256 `34cd`. Licence: trained on Tiny ImageNet" in card
    assert "trained with finetune 0.0.9" in card
    with pytest.raises(RunError, match="already holds an export"):
        invoke(run, "--to", "npy")
    assert invoke(run, "--to", "npy", "--overwrite").exit_code == 0


def test_a_file_lands_beside_it_and_knows_no_licence(tiny_weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(tiny_weights.read_bytes())
    assert invoke(file, "--to", "npy").stdout == f"{tmp_path / 'mine-npy'}\n"
    card = (tmp_path / "mine-npy/README.md").read_text(encoding="utf-8")
    assert "`mine.safetensors`. Licence: unknown; ask where the file came from." in card
    assert "The file does not say which images" in card


def test_a_name_lands_here_with_the_licence_of_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke("starter", "--to", "npy").stdout == "starter-npy\n"
    assert "Licence: trained on Tiny ImageNet" in (tmp_path / "starter-npy/README.md").read_text(encoding="utf-8")


@pytest.mark.tensorflow
@pytest.mark.slow
def test_int8_tells_what_it_cost(run: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    done = invoke(run, "--to", "litert-int8")
    folder, loss = done.stdout.splitlines()
    assert loss.startswith("8 bits compared with float32 on 3 images: top-1 ")
    assert loss in (run / "export-litert-int8/README.md").read_text(encoding="utf-8")
    runtime = interpreter.Interpreter(str(Path(folder) / "model.tflite"))
    kernels = [
        tensor for tensor in runtime.get_tensor_details() if len(tensor["shape"]) == 4 and tensor["shape"][1] == 11
    ]
    assert {tensor["dtype"] for tensor in kernels} == {np.int8}
    assert runtime.get_input_details()[0]["dtype"] == np.uint8
    assert runtime.get_output_details()[0]["dtype"] == np.float32


@pytest.mark.tensorflow
def test_8_bits_for_the_web_are_measured_where_the_images_still_are(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    runtime = ("--runtime", stand_in_runtime(tmp_path / "dist"))
    folder, loss = invoke(run, "--to", "web-int8", *runtime).stdout.splitlines()
    assert folder == str(run / "export-web-int8")
    assert loss.startswith("8 bits compared with float32 on 3 images: top-1 ")
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert invoke(run, "--to", "web-int8", "--overwrite", *runtime).stdout == f"{folder}\n"


def test_wrong_usage(run: Path, tiny_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--data is only for litert-int8 and web-int8, not for keras; omit it"):
        invoke(run, "--to", "keras", "--data", tmp_path)
    with pytest.raises(UsageError, match="name a folder with --data"):
        invoke(tiny_weights, "--to", "litert-int8", "--out", tmp_path / "out")
    with pytest.raises(WeightsError, match=r"nor a published name \(did you mean starter\?\)"):
        invoke("startr", "--to", "npy", "--out", tmp_path / "out")
    with pytest.raises(RunError, match="contains files that are not part of an export"):
        invoke(run, "--to", "npy", "--out", run, "--overwrite")
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(app, [str(run), "--to", "onix"])
    assert done.exit_code == 2


def test_a_network_without_classes(tmp_path: Path) -> None:
    network = build("alexnet-book", {"input_size": 67})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    save_model(tmp_path / "tower.safetensors", Model(network, weights, ()))
    with pytest.raises(WeightsError, match="alexnet-book ends in pool5 and has no classes"):
        invoke(tmp_path / "tower.safetensors", "--to", "onnx")
    assert invoke(tmp_path / "tower.safetensors", "--to", "npy").exit_code == 0


def test_without_the_runtime(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.export.export.find_spec", lambda name: None)
    message = "--to onnx needs onnx and onnxruntime; pip install 'onnx>=1.16' 'onnxruntime>=1.20'"
    with pytest.raises(UsageError, match=message):
        invoke(run, "--to", "onnx")
    with pytest.raises(UsageError, match=r"--to litert needs ai-edge-litert; pip install 'ai-edge-litert>=2.0'"):
        invoke(run, "--to", "litert")
    assert not list(run.glob("*export*"))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda path, pixels: np.full((4, 3), 1 / 3 + 0.01), "onnx: the export gives other probabilities"),
        (lambda path, pixels: np.full((4, 3), np.nan), "onnx: the export gives other probabilities"),
        (lambda path, pixels: 1 / 0, r"its own runtime cannot load the export \(ZeroDivisionError: division"),
    ],
)
def test_what_does_not_load_or_agree_is_not_kept(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    predict: Callable[[Path, np.ndarray], np.ndarray],
    message: str,
) -> None:
    false = SimpleNamespace(write=lambda path, *_: path.write_bytes(b"no model"), predict=predict)
    monkeypatch.setitem(sys.modules, "finetune.export.onnx", false)
    with pytest.raises(WeightsError, match=message):
        invoke(run, "--to", "onnx")
    assert not list(run.glob("*export*"))
    assert not list(run.glob(".*"))
