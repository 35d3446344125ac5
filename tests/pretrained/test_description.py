"""The input and the class names of weights that do not describe themselves."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.data.preprocessing import TORCHVISION
from finetune.errors import UsageError
from finetune.formats.npy_file import write_npy
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.model import Model, model_of
from finetune.pretrained.description import Description
from finetune.pretrained.infer import description_of

REFUSED = (
    "{} is for weights that do not describe themselves, but tiny.safetensors states its preprocessing and the names "
    "of its classes, as it was trained; omit {}"
)


@pytest.fixture
def plain(tiny_model: Model, tmp_path: Path) -> Path:
    """The weights of `tiny_model` and nothing else."""
    write_npy(tmp_path / "plain.npy", tiny_model.weights)
    return tmp_path / "plain.npy"


@pytest.fixture
def names(tmp_path: Path) -> Path:
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeff fox \r\n\ncafe\u0301\r\nn02119789 kit fox, Vulpes\r\n\n".encode())
    return path


def described(path: Path, **given: Any) -> Model:
    return model_of(read_weights(path), "alexnet", Description(**given))


def test_the_input_of_plain_weights(plain: Path, tiny_model: Model) -> None:
    usual = tiny_model.network.preprocessing
    assert described(plain).network.preprocessing == usual
    found = described(plain, resize="warp", mean="none", interpolation="linear").network.preprocessing
    assert found == replace(usual, resize="warp", mean=(0, 0, 0), interpolation="linear")
    assert described(plain, mean="104,117,123.5").network.preprocessing == replace(usual, mean=(104, 117, 123.5))


def test_the_names_of_plain_weights(plain: Path, names: Path) -> None:
    assert described(plain).class_names == ("0", "1", "2")
    assert described(plain, class_names=names).class_names == ("fox", "caf\u00e9", "n02119789 kit fox, Vulpes")


def test_names_that_do_not_fit(plain: Path, tmp_path: Path) -> None:
    for count in (0, 2, 4):
        (tmp_path / "names.txt").write_text("ant\n" * count)
        with pytest.raises(UsageError) as caught:
            described(plain, class_names=tmp_path / "names.txt")
        assert str(caught.value) == (
            f"--class-names {tmp_path / 'names.txt'} has {count} names, but plain.npy has 3 classes; expected one name "
            "per line, in the order of the classes"
        )


def test_files_that_are_not_names(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0\x01 one\ntwo\nthree")
    with pytest.raises(UsageError, match=r"binary: '\\x00\\x01 one' is not a name; expected a text file$"):
        described(plain, class_names=tmp_path / "binary")
    for path, reason in ((tmp_path / "missing.txt", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError) as caught:
            described(plain, class_names=path)
        assert str(caught.value) == f"--class-names {path} cannot be read ({reason}); expected a text file"


@pytest.mark.parametrize(
    ("name", "value"), [("resize", "crop"), ("mean", "none"), ("interpolation", "area"), ("class_names", Path("x"))]
)
def test_a_trained_model_describes_itself(tiny_weights: Path, name: str, value: Any) -> None:
    with pytest.raises(UsageError) as caught:
        described(tiny_weights, **{name: value})
    option = f"--{name.replace('_', '-')}"
    assert str(caught.value) == REFUSED.format(option, option)
    assert described(tiny_weights, mean="weights").class_names == ("red", "green", "blue")


def test_what_finetune_only_converted_does_not(tiny_model: Model, names: Path, tmp_path: Path) -> None:
    """A fetched or converted file states what is usual for its network; others trained it."""
    usual = description_of(tiny_model.network)
    fetched = {"class_names": ["a", "b", "c"], "weights": {"name": "bvlc_alexnet", "source": "http://x"}}
    for more in ({}, fetched):
        write_safetensors(tmp_path / "a.safetensors", tiny_model.weights, {**usual, **more})
        model = described(tmp_path / "a.safetensors", mean="none", class_names=names)
        assert model.network.preprocessing.mean == (0, 0, 0)
        assert model.class_names[0] == "fox"
    write_safetensors(tmp_path / "tiny.safetensors", tiny_model.weights, {**usual, **fetched, "weights": "odd"})
    with pytest.raises(UsageError, match="states its preprocessing"):
        described(tmp_path / "tiny.safetensors", mean="none")


@pytest.mark.parametrize("mean", ["data", "1,2", "1,2,3,4", "red", "256,0,0"])
def test_invalid_means(mean: str) -> None:
    with pytest.raises(UsageError) as caught:
        Description(mean=mean)
    assert str(caught.value) == (
        "--mean must be weights, none, or numbers from 0 to 255 for blue, green and red, such as 104,117,123, not "
        f"{mean}"
    )


def test_a_mean_is_given_blue_first(tiny_model: Model, plain: Path) -> None:
    network = replace(tiny_model.network, preprocessing=TORCHVISION)
    found = Description(mean="1,2,3").of_network(network, read_weights(plain)).preprocessing
    assert found == replace(TORCHVISION, mean=(3, 2, 1))
    with pytest.raises(UsageError) as caught:
        Description(mean="1").of_network(network, read_weights(plain))
    assert str(caught.value) == "--mean 1: the network takes RGB; expected three numbers, for blue, green and red"
