"""What the classes of a weights file are called: as the file says, otherwise ImageNet's names, otherwise numbers."""

from functools import cache
from importlib.resources import files

from finetune.data.class_name import valid_text
from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile


def class_names_of(file: WeightsFile, count: int) -> tuple[str, ...]:
    """Return the names of the `count` classes in a weights file.

    If the file has none, they are ImageNet's for 1,000 classes and `0`, `1`, … otherwise. They are `valid_text`, which
    runs of version 0.1.0 need not have. Raises WeightsError for names that are not text or not as many.
    """
    names = file.metadata.get("class_names")
    if names is None:
        imagenet = imagenet_class_names()
        return imagenet if count == len(imagenet) else tuple(map(str, range(count)))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"{file.name}: class_names is not a list of names; write the file again")
    if len(names) != count:
        raise WeightsError(f"{file.name} names {len(names)} classes but has {count} outputs; write the file again")
    return tuple(map(valid_text, names))


@cache
def imagenet_class_names() -> tuple[str, ...]:
    """Return the names of the 1,000 classes of ILSVRC 2012 in Caffe's order, e.g. 'tench, Tinca tinca'."""
    table = files("finetune.pretrained").joinpath("imagenet_classes.tsv").read_text(encoding="utf-8")
    return tuple(line.split("\t")[2] for line in table.splitlines())
