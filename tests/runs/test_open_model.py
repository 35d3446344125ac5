"""What a reference to a model may be."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from finetune.errors import RunError, UsageError, WeightsError
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.pretrained.description import Description
from finetune.runs.open_model import open_model, open_weights


def write_run(folder: Path, model: Model) -> Path:
    folder.mkdir(parents=True)
    save_model(folder / "model.safetensors", model)
    return folder


@pytest.fixture
def two_networks(tmp_path: Path) -> Path:
    """A file without a description that fits alexnet and caffenet."""
    network = build("alexnet", {"num_classes": 4, "input_size": 67, "fc_units": 8})
    np.savez(tmp_path / "two.npz", **fresh_weights(network, tuple(network.weighted_layers()), seed=0))
    return tmp_path / "two.npz"


def test_a_run_directory(tiny_model: Model, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", tiny_model)
    for ref in (run, str(run)):
        assert open_model(ref).class_names == tiny_model.class_names
    assert open_model(run, network="alexnet").network.name == "alexnet"
    assert open_weights(run).path == run / "model.safetensors"


def test_an_error_names_the_run_and_not_the_file_in_it(tiny_model: Model, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", tiny_model)
    with pytest.raises(WeightsError) as another:
        open_model(run, network="vgg16")
    assert str(another.value) == f"{run} holds the network alexnet, not vgg16; use --network alexnet"
    with pytest.raises(UsageError) as described:
        open_model(run, description=Description(resize="warp"))
    assert f"but {run} states its preprocessing" in str(described.value)


def test_a_file(tiny_weights: Path, two_networks: Path) -> None:
    assert open_model(str(tiny_weights)).network.options == {"num_classes": 3, "input_size": 67, "fc_units": 8}
    with pytest.raises(WeightsError, match=r"two\.npz fits alexnet and caffenet"):
        open_model(two_networks)
    assert open_model(two_networks, "caffenet").network.name == "caffenet"


def test_a_name_decides_between_networks(
    two_networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    data = open_weights(two_networks)
    from finetune.formats.npy_file import write_npy

    write_npy(tmp_path / "weights" / "bvlc_alexnet.npy", {name: data.tensors[name] for name in data.tensors})
    path = tmp_path / "weights" / "bvlc_alexnet.npy"
    for ref in ("bvlc_alexnet", path):  # the name of the file says as much
        assert open_model(ref).network.name == "alexnet"
        assert "bvlc_alexnet.npy is unverified: no digest of it is published; to get" in caplog.messages[-1]
    with pytest.raises(WeightsError, match=r"^bvlc_alexnet\.npy holds the network alexnet, not caffenet"):
        open_model(path, "caffenet")
    caplog.clear()
    open_model(path.rename(tmp_path / "mine.npy"), "caffenet")
    assert not caplog.messages


def test_what_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"startr.*did you mean starter\?"):
        open_model("startr")
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        open_model(tmp_path)


def test_opening_a_file_loads_no_reader_of_data(tiny_weights: Path) -> None:
    """So that `finetune summary FILE` stays quick."""
    program = f"import sys; from finetune.runs.open_model import open_weights; open_weights({str(tiny_weights)!r})\n"
    program += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"tensorflow", "cv2", "requests", "finetune.data.folder"} & set(done.stdout.split())
