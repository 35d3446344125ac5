"""What is read of a file of features: one that `score` writes, and damaged ones."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from support.activation_files import random_layers, write_activations
from support.score_rows import write_rows

from finetune.classifier import Classifier, Features
from finetune.errors import DataError
from finetune.model import Model
from finetune.rdm.activations import read_activations
from finetune.scoring.choose_format import choose_format
from finetune.scoring.input_list import read_input_list
from finetune.scoring.score_options import ScoreOptions


def test_what_score_writes(tiny_model: Model, tmp_path: Path) -> None:
    """Layers in the order of the network, which HDF5 does not keep, and the columns of the CSV."""
    stimuli = tmp_path / "in" / "stimuli.csv"
    out = tmp_path / "out" / "acts.h5"
    for file in (stimuli, out):
        file.parent.mkdir()
    stimuli.write_text("path,set\nü.png,a\ngone.png,b\n", encoding="utf-8")
    classifier, options = Classifier(tiny_model), ScoreOptions(features=("pool1", "fc7:linear", "fc6"), dtype="float16")
    values = {
        layer: np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 7
        for layer, shape in classifier.feature_shapes(options.features).items()
    }
    format = choose_format(out, classifier, options, read_input_list([str(stimuli)]), {"network": "alexnet"})
    write_rows(format, out, [[Features(Path("ü.png"), values), Features(Path("gone.png"), error="it is empty")]])
    found = read_activations(out)
    assert [layer.name for layer in found.layers] == ["pool1", "fc7:linear", "fc6"]
    assert (found.names, found.errors) == (("ü.png", "gone.png"), ("", "it is empty"))
    assert (found.columns, found.about) == ({"set": ("a", "b")}, {"network": "alexnet"})
    for layer in found.layers:
        expected = values[layer.name].reshape(-1).astype(np.float16)
        np.testing.assert_array_equal(layer.read(np.array([0]), 2, 5), expected[np.newaxis, 2:5].astype(np.float64))
        assert np.isnan(layer.read(np.array([1]), 0, layer.units)).all()


def test_a_file_without_errors_and_attributes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fc7"], file["path"] = np.eye(2), [b"a", b"b"]
    found = read_activations(tmp_path / "a.h5")
    assert ([layer.name for layer in found.layers], found.errors, found.columns) == (["fc7"], ("", ""), {})


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("missing", r"\(No such file or directory\): expected an HDF5 file of features; give what `finetune"),
        ("a folder", r"\(Is a directory\): expected an HDF5 file of features"),
        ("empty", r"\(it is not HDF5\): expected an HDF5 file of features"),
        ("text", r"\(it is not HDF5\): expected an HDF5 file of features"),
        ("cut short", r"\(it is not HDF5\): expected an HDF5 file of features"),
        ("no path", "expected a dataset path with the names of the stimuli"),
        ("linked path", "expected a dataset path with the names of the stimuli"),
        ("numbers as path", "expected a dataset path with the names of the stimuli"),
        ("no layers", "expected a dataset for each layer, but it has none"),
        ("rows", "expected a row for each of 4 stimuli in fc7, not 3"),
        ("compressed", "fc7 is compressed, in chunks or empty, .* repack it with h5repack -l CONTI -f NONE"),
    ],
)
def test_what_cannot_be_read(fault: str, message: str, tmp_path: Path) -> None:
    path = write_activations(tmp_path / "acts.h5", random_layers(4))
    match fault:
        case "missing":
            path.unlink()
        case "a folder":
            path.unlink()
            path.mkdir()
        case "empty" | "text":
            path.write_text("" if fault == "empty" else "path,label\n", encoding="utf-8")
        case "cut short":
            path.write_bytes(path.read_bytes()[:-2000])
        case _:
            with h5py.File(path, "a") as file:
                wrong = {"no layers": ["conv5", "fc7"], "rows": ["fc7"], "compressed": ["fc7"]}
                for name in wrong.get(fault, ["path"]):
                    del file[name]
                if fault == "linked path":
                    file["path"] = h5py.ExternalLink("gone.h5", "path")
                if fault == "numbers as path":
                    file["path"] = np.zeros((4, 7), np.uint16)  # as in a .mat
                if fault == "rows":
                    file["fc7"] = np.zeros((3, 2))
                if fault == "compressed":
                    file.create_dataset("fc7", data=np.zeros((4, 2)), compression="gzip")
    with pytest.raises(DataError, match=message) as error:
        read_activations(path)
    assert str(error.value).startswith(str(path))


def test_a_file_that_shrinks_meanwhile(tmp_path: Path) -> None:
    path = write_activations(tmp_path / "acts.h5", {"fc7": np.ones((4, 1000), np.float32)})
    (layer,) = read_activations(path).layers
    path.write_bytes(path.read_bytes()[: layer.offset + 100])
    with pytest.raises(DataError, match="fc7 is cut short"):
        layer.read(np.array([3]), 0, 10)
