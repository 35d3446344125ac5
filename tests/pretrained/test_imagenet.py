"""ImageNet's classes in Caffe's order, by the ones that people know."""

from finetune.pretrained.imagenet import class_names


def test_class_names() -> None:
    names = class_names()
    assert (len(names), len(set(names))) == (1000, 999)  # two are called crane: the bird and the machine
    known = {0: "tench", 1: "goldfish", 281: "tabby", 340: "zebra", 463: "bucket", 999: "toilet tissue"}
    for index, name in known.items():
        assert names[index].startswith(name)
