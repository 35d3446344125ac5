"""Checkpoints of TensorFlow 1, written by its Saver: whatever they are called by, and damaged."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from support.checkpoint_files import save_checkpoint_of_tf1, variables

from finetune.errors import WeightsError
from finetune.formats.npz_file import read_npz
from finetune.formats.read_weights import read_weights
from finetune.formats.recognize import recognize
from finetune.formats.tf_checkpoint import checkpoint_data, checkpoint_index
from finetune.model import Model, load_model
from finetune.pretrained.convert import convert
from finetune.pretrained.inspect import inspect_weights
from finetune.pretrained.resolve import resolve
from finetune.system.digest import sha256_of_file

RNG = np.random.default_rng(3)
SMALL = {"fc8/weights": RNG.normal(size=(4, 3)).astype(np.float32), "fc8/biases": np.float32([1, 2, 3])}
INDEX, DATA, META = "model.ckpt.index", "model.ckpt.data-00000-of-00001", "model.ckpt.meta"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint of SMALL."""
    folder = tmp_path_factory.mktemp("sound")
    save_checkpoint_of_tf1(folder / "model.ckpt", SMALL)
    return folder


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("name", ["model.ckpt", INDEX, DATA, META, "checkpoint"])
def test_every_name_of_a_checkpoint(name: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What optimizers keep of each weight, and their counters, are not weights and no reason for a warning."""
    assert resolve(str(folder / name)) == (folder / INDEX, INDEX)
    file = read_weights(folder / name)
    assert (file.path, file.format, file.channel_first, file.network) == (folder / INDEX, "tf_checkpoint", False, None)
    assert set(file.tensors) == {"fc8/kernel", "fc8/bias"}
    np.testing.assert_array_equal(file.tensors["fc8/kernel"], SMALL["fc8/weights"], strict=True)
    np.testing.assert_array_equal(file.tensors["fc8/bias"], SMALL["fc8/biases"], strict=True)
    assert not caplog.records


def test_other_paths_stay_as_they_are(folder: Path) -> None:
    (folder / "notes.meta").touch()
    (folder / "copy.ckpt").touch()
    (folder / "copy.ckpt.index").touch()
    for path in (folder, folder / "notes.meta", folder / "copy.ckpt", Path("auto"), folder / "model.npy", Path()):
        assert checkpoint_index(path) == path
    (folder / "checkpoint").write_text("model.ckpt\n")
    assert checkpoint_index(folder / "checkpoint") == folder / "checkpoint"
    assert checkpoint_data(folder / "model.npy") == []


def test_the_latest_checkpoint_is_next_to_the_file_that_names_it(folder: Path) -> None:
    """Its path was that of another machine."""
    text = 'model_checkpoint_path: "/home/jane/run/model.ckpt"\nall_model_checkpoint_paths: "/home/jane/old.ckpt"\n'
    (folder / "checkpoint").write_text(text)
    assert checkpoint_index(folder / "checkpoint") == folder / INDEX


def test_inspect_and_convert(folder: Path, tmp_path: Path) -> None:
    facts = inspect_weights(folder / "model.ckpt")
    assert (facts.path, facts.format, facts.layers) == (str(folder / INDEX), "tf_checkpoint", ("fc8",))
    assert facts.bytes == sum((folder / name).stat().st_size for name in (INDEX, DATA))
    assert facts.sha256 == sha256_of_file(folder / INDEX)
    convert(folder / "checkpoint", tmp_path / "out.npz")
    np.testing.assert_array_equal(read_npz(tmp_path / "out.npz").tensors["fc8/kernel"], SMALL["fc8/weights"])


def test_what_is_not_a_weight_is_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A moving average is a weight too; whoever wants it has to know that it is not used."""
    more = {**SMALL, "counts": np.int64([1, 2]), "scale": np.float32([[1.5, 2], [3, 4]])}
    save_checkpoint_of_tf1(tmp_path / "a", more, average=True)
    assert set(read_weights(tmp_path / "a").tensors) == {"fc8/kernel", "fc8/bias"}
    (record,) = caplog.records
    assert record.getMessage() == (
        "a.index: entries that are not weights of layers, and not used: counts, fc8/weights/ExponentialMovingAverage, "
        "scale"
    )


def test_a_whole_network(tiny_model: Model, tmp_path: Path) -> None:
    save_checkpoint_of_tf1(tmp_path / "alexnet.ckpt", variables(tiny_model.weights))
    model = load_model(tmp_path / "alexnet.ckpt", "alexnet")
    assert model.network == tiny_model.network
    for name, value in tiny_model.weights.items():
        np.testing.assert_array_equal(model.weights[name], value, strict=True)


def test_files_that_are_missing(folder: Path) -> None:
    (folder / DATA).unlink()
    (folder / "model.ckpt.data-0").touch()
    with pytest.raises(WeightsError) as caught:
        read_weights(folder / "model.ckpt")
    assert str(caught.value) == (
        "model.ckpt.index: it is the index of a TensorFlow checkpoint, but model.ckpt.data-… is not next to it; copy "
        "all files of the checkpoint to one folder"
    )
    (folder / INDEX).unlink()
    with pytest.raises(WeightsError) as caught:
        read_weights(folder / DATA)
    assert str(caught.value) == (
        f"model.ckpt.index: cannot be read (No such file or directory); check the path {folder / INDEX}"
    )


def test_data_that_is_cut(folder: Path) -> None:
    (folder / DATA).write_bytes((folder / DATA).read_bytes()[:40])
    with pytest.raises(WeightsError) as caught:
        read_weights(folder / "model.ckpt")
    assert str(caught.value) == (
        f"model.ckpt.index: its variables take 60 bytes, but {DATA} has 40: a file is truncated or belongs to another "
        "checkpoint; copy them again"
    )


def test_data_that_is_damaged(folder: Path) -> None:
    content = bytearray((folder / DATA).read_bytes())
    content[content.index(SMALL["fc8/weights"].tobytes()) + 7] ^= 1
    (folder / DATA).write_bytes(content)
    with pytest.raises(WeightsError, match=r"^model.ckpt.index: TensorFlow cannot read the checkpoint \(.*Checksum"):
        read_weights(folder / "model.ckpt")


def test_an_index_with_any_damaged_byte(folder: Path) -> None:
    """Refused with one line, or nothing of it was used."""
    content = (folder / INDEX).read_bytes()
    refusals = []
    for position in range(len(content)):
        (folder / INDEX).write_bytes(content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :])
        try:
            file = read_weights(folder / INDEX)
        except WeightsError as error:
            refusals.append(str(error))
        else:
            np.testing.assert_array_equal(file.tensors["fc8/kernel"], SMALL["fc8/weights"])
    assert len(refusals) > 0.8 * len(content)
    assert all(10 < len(line) < 400 and line.isprintable() for line in refusals)


def test_an_index_that_claims_terabytes(folder: Path) -> None:
    """Of its own blocks: the offset and the size of the last one, at the end of the file."""
    content = (folder / INDEX).read_bytes()
    claimed = bytes([0, 0, 100]) + b"\x80\x80\x80\x80\x80\x80\x01"  # 4 TB at 100
    (folder / INDEX).write_bytes(content[:-48] + claimed.ljust(40, b"\0") + content[-8:])
    with pytest.raises(WeightsError, match=r"^model.ckpt.index: TensorFlow cannot read the checkpoint \("):
        read_weights(folder / INDEX)


def test_a_cut_index_is_not_a_checkpoint(folder: Path) -> None:
    (folder / INDEX).write_bytes((folder / INDEX).read_bytes()[:-1])
    with pytest.raises(WeightsError, match="expected a weights file"):
        recognize(folder / INDEX)
