"""What is said about a model: of a weights file, of a published name, and of a run with its accuracy."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from support.readers import write_run

from finetune import __version__
from finetune.errors import WeightsError
from finetune.model import Model, load_model
from finetune.networks.layer_outputs import output_shapes
from finetune.runs.about_model import about_model
from finetune.runs.open_model import open_model


def test_a_file(tiny_model: Model, tiny_weights: Path) -> None:
    about = about_model(tiny_model, tiny_weights)
    layers = about.pop("layers")
    assert list(output_shapes(tiny_model.network, layers)) == layers  # every name is one that features takes
    assert {"conv1", "fc7", "fc7:linear", "fc8"} < set(layers)
    assert json.loads(json.dumps(about)) == {
        "name": "tiny.safetensors",
        "version": __version__,
        "network": "alexnet",
        "options": {"num_classes": 3, "input_size": 67, "fc_units": 8},
        "parameters": tiny_model.network.parameters(),
        "preprocessing": json.loads(json.dumps(tiny_model.network.preprocessing.to_json())),
        "temperature": 1.0,
        "sha256": hashlib.sha256(tiny_weights.read_bytes()).hexdigest(),
        "source": {},
        "accuracy": None,
        "classes": ["red", "green", "blue"],
    }


def test_a_run(tmp_path: Path) -> None:
    run = write_run(tmp_path / "insects")
    model = load_model(run.model)
    model = Model(model.network, model.weights, model.class_names, {"source_weights": {"name": "/home/me/w.npy"}})
    about = about_model(model, run.path)
    assert about["name"] == "insects"
    assert about["source"] == {"name": "w.npy"}  # not where on this disk
    assert about["accuracy"] == {
        "top1": 0.75,
        "interval": pytest.approx([0.3006, 0.9544], abs=1e-4),
        "images": 4,
        "of": "validation images",
    }
    assert str(tmp_path) not in json.dumps(about)
    judged = Model(model.network, model.weights, model.class_names, {"metrics": {"judged": "training images"}})
    assert about_model(judged, run.path)["accuracy"]["of"] == "training images"


def test_a_published_name() -> None:
    about = about_model(open_model("starter"), "starter")
    assert (about["name"], about["source"]) == ("starter", {"name": "starter"})
    assert about["sha256"].startswith("73fe00c1d3b45993")


def test_a_file_that_is_gone(tiny_model: Model, tiny_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.safetensors"
    shutil.copy(tiny_weights, path)
    assert about_model(tiny_model, path)["name"] == "gone.safetensors"
    path.unlink()
    with pytest.raises(WeightsError, match="neither a file nor a published name"):
        about_model(tiny_model, path)
