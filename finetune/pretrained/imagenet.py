"""The 1,000 classes of ILSVRC 2012 in Caffe's order."""

from functools import cache
from importlib.resources import files


@cache
def class_names() -> tuple[str, ...]:
    """Return the names by class index, as in Caffe's synset_words.txt, e.g. 'tench, Tinca tinca'."""
    table = files("finetune.pretrained").joinpath("imagenet_classes.tsv").read_text(encoding="utf-8")
    return tuple(line.split("\t")[2] for line in table.splitlines())
