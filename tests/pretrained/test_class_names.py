"""What classes are called: the file's own names, ImageNet's for 1,000 classes, numbers otherwise."""

from pathlib import Path

import pytest

from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile
from finetune.pretrained.class_names import class_names_of, imagenet_class_names


def file(**metadata: object) -> WeightsFile:
    return WeightsFile(Path("folder/m.safetensors"), "safetensors", {}, metadata=metadata)


def test_imagenet_class_names() -> None:
    names = imagenet_class_names()
    assert (len(names), len(set(names))) == (1000, 999)  # two are called crane: the bird and the machine
    known = {0: "tench", 1: "goldfish", 281: "tabby", 340: "zebra", 463: "bucket", 999: "toilet tissue"}
    for index, name in known.items():
        assert names[index].startswith(name)


def test_the_names_in_the_file_count() -> None:
    assert class_names_of(file(class_names=["ants", "bees"]), 2) == ("ants", "bees")
    assert class_names_of(file(class_names=[str(i) for i in range(1000)]), 1000)[281] == "281"


def test_names_that_cannot_be_encoded_are_escaped() -> None:
    """Version 0.1.0 wrote the bytes of a folder's name as they were; exports and Parquet need text."""
    assert class_names_of(file(class_names=["fourmi \udce9", " bees "]), 2) == ("fourmi \\xe9", " bees ")


@pytest.mark.parametrize("count", [1, 2, 999, 1001])
def test_classes_without_names_are_numbered(count: int) -> None:
    assert class_names_of(file(), count) == tuple(str(number) for number in range(count))


def test_a_thousand_classes_without_names_are_imagenets() -> None:
    assert class_names_of(file(), 1000) == imagenet_class_names()


@pytest.mark.parametrize("names", ["abc", [1, 2, 3], {"0": "a", "1": "b", "2": "c"}])
def test_names_must_be_a_list_of_text(names: object) -> None:
    expected = r"^m\.safetensors: class_names is not a list of names; write the file again$"
    with pytest.raises(WeightsError, match=expected):
        class_names_of(file(class_names=names), 3)


def test_there_must_be_a_name_for_each_class() -> None:
    with pytest.raises(WeightsError, match=r"^m\.safetensors names 2 classes but has 3 outputs; write the file again$"):
        class_names_of(file(class_names=["ants", "bees"]), 3)
