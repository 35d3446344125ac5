"""The published weights by name: where they come from, and where on this machine their files lie."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from finetune.data.preprocessing import Preprocessing
from finetune.errors import WeightsError
from finetune.formats.weights_file import WeightsFile
from finetune.networks import build
from finetune.system.text import did_you_mean


@dataclass(frozen=True)
class Source:
    """One place that offers the weights, over http or https.

    `size`: bytes; None where no publisher states it. `digest`: `sha256:…` or `sha1:…` in hexadecimal,
    `sha256-prefix:…` where only the first digits are published, None where there is none.
    """

    url: str
    file: str
    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True)
class Entry:
    """One published set of weights.

    `sources`: in order of preference, those with a digest first; none when the weights are part of this package, whose
    file then has `packaged_digest`.
    `top1`, `top5`: per cent on the ILSVRC 2012 validation set, centre crop, as the publisher states them.
    `preprocessing`: what the weights were trained with, None where it is the network's own.
    """

    name: str
    network: str
    num_classes: int
    sources: tuple[Source, ...]
    licence: str
    top1: float | None
    top5: float | None
    preprocessing: Preprocessing | None = None
    packaged_digest: str | None = None

    @property
    def digest(self) -> str | None:
        """The digest of the preferred source, or of the file in this package."""
        return self.sources[0].digest if self.sources else self.packaged_digest

    @property
    def files(self) -> tuple[str, ...]:
        """The names that a file with these weights may have, the fastest to load first."""
        return (f"{self.name}.safetensors", *(source.file for source in self.sources))

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return self.sources[0].url if self.sources else "part of this package"


_ONNX_ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification"
_TORCHVISION = build("alexnet-owt").preprocessing  # torchvision's is the same for all its networks

CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            name="bvlc_alexnet",
            network="alexnet",
            num_classes=1000,
            sources=(
                Source(
                    url="http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
                    file="bvlc_alexnet.caffemodel",
                    digest="sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
                ),
                Source(
                    url=f"{_ONNX_ZOO}/alexnet/model/bvlcalexnet-12.onnx",
                    file="bvlcalexnet-12.onnx",
                    size=243_863_787,
                    digest="sha256:6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
                ),
                Source(
                    url="http://www.cs.toronto.edu/~guerzhoy/tf_alexnet/bvlc_alexnet.npy",
                    file="bvlc_alexnet.npy",
                ),
            ),
            licence="unrestricted use",
            top1=57.1,
            top5=80.2,
        ),
        Entry(
            name="bvlc_caffenet",
            network="caffenet",
            num_classes=1000,
            sources=(
                Source(
                    url="http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
                    file="bvlc_reference_caffenet.caffemodel",
                    digest="sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
                ),
                Source(
                    url=f"{_ONNX_ZOO}/caffenet/model/caffenet-12.onnx",
                    file="caffenet-12.onnx",
                    size=243_863_798,
                    digest="sha256:ea563e5c47d1f58e1717cf1a2d8bf288b8adc07af0ad228b622096cd243aeecb",
                ),
            ),
            licence="unrestricted use",
            top1=57.4,
            top5=80.4,
        ),
        Entry(
            name="torchvision_alexnet",
            network="alexnet-owt",
            num_classes=1000,
            sources=(
                Source(
                    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
                    file="alexnet-owt-7be5be79.pth",
                    size=244_408_911,
                    digest="sha256-prefix:7be5be79",
                ),
            ),
            licence="BSD-3-Clause",
            top1=56.522,
            top5=79.066,
        ),
        Entry(
            name="torchvision_vgg16",
            network="vgg16",
            num_classes=1000,
            sources=(
                Source(
                    url="https://download.pytorch.org/models/vgg16-397923af.pth",
                    file="vgg16-397923af.pth",
                    size=553_433_881,
                    digest="sha256-prefix:397923af",
                ),
            ),
            licence="BSD-3-Clause",
            top1=71.592,
            top5=90.382,
            preprocessing=_TORCHVISION,
        ),
        Entry(
            name="vgg16",
            network="vgg16",
            num_classes=1000,
            sources=(
                Source(
                    url=f"{_ONNX_ZOO}/vgg/model/vgg16-12.onnx",
                    file="vgg16-12.onnx",
                    size=553_437_752,
                    digest="sha256:722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
                ),
            ),
            licence="Apache-2.0",
            top1=72.38,
            top5=91.00,
            preprocessing=_TORCHVISION,  # trained with MXNet on that input, as the zoo's README for VGG says
        ),
        Entry(
            name="starter",
            network="alexnet",
            num_classes=200,
            sources=(),
            licence="trained on Tiny ImageNet: research, education",
            top1=None,  # on Tiny ImageNet's own 200 classes; see weights/README.md
            top5=None,
            packaged_digest="sha256:73fe00c1d3b45993b1acfe40f6559ce1a872938224797fdb27998919177ec73e",
        ),
    )
}

# The weights that `auto` looks for first, by network; of two for one network those that need no extra package to read.
PUBLISHED = {
    "alexnet": "bvlc_alexnet",
    "caffenet": "bvlc_caffenet",
    "alexnet-owt": "torchvision_alexnet",
    "vgg16": "torchvision_vgg16",
}
FALLBACK = {"alexnet": "starter"}  # what `auto` takes when they are not there and cannot be fetched


def folders() -> list[Path]:
    """Return where files of the catalogue are looked for, in order, the user's cache last; some may not exist."""
    package = Path(__file__).parents[1]
    own = package / "weights" if (package / "weights").is_dir() else package.parent / "weights"  # wheel or checkout
    chosen = os.environ.get("FINETUNE_WEIGHTS")
    cache = Path(platformdirs.user_cache_dir("finetune"), "weights")
    return [*([Path(chosen)] if chosen else []), Path("weights"), own, cache]


def find(name: str) -> Path | None:
    """Return the file of the catalogue entry `name`, or None when it is nowhere; KeyError for an unknown name."""
    candidates = (folder / file for folder in folders() for file in CATALOGUE[name].files)
    return next((path for path in candidates if path.is_file()), None)


def resolve(ref: str) -> tuple[Path, str]:
    """Return the file that a name of the catalogue or a path means, and its name; raise WeightsError if there is none.

    A name that is not on this machine is fetched, and never falls back to other weights.
    """
    if ref in CATALOGUE:
        return find(ref) or _fetch(ref), ref
    path = Path(ref)
    if path.is_file():
        return path, path.name
    if path.is_dir():
        raise WeightsError(f"expected a weights file, but {ref} is a folder; name the file in it")
    raise WeightsError(
        f"weights {ref!r}: no such file, and no such name{did_you_mean(ref, CATALOGUE)}; "
        f"the names are {', '.join(CATALOGUE)}"
    )


def described(file: WeightsFile, name: str) -> WeightsFile:
    """Return `file` with the network and the preprocessing of the catalogue entry `name`, if it is one.

    Most files do not tell them: AlexNet and CaffeNet, for one, have the same shapes. A file of our own does.
    """
    entry = CATALOGUE.get(name)
    if entry is None or "options" in file.metadata:
        return file
    told = {"preprocessing": entry.preprocessing.to_json()} if entry.preprocessing else {}
    return replace(file, network=entry.network, metadata={**file.metadata, **told})


def how_to_get(name: str) -> str:
    """Return what a person does to have the weights `name` on this machine."""
    return f"get {CATALOGUE[name].source} and put it into {folders()[0].absolute()}"


def _fetch(name: str) -> Path:
    from finetune.pretrained.fetch import fetch  # here, since it loads the HTTP library

    try:
        return fetch(name)
    except WeightsError as error:
        other = FALLBACK.get(CATALOGUE[name].network)
        at_once = f"--weights {other} works at once" if other else "--weights none trains from scratch at once"
        raise WeightsError(f"{error}; {at_once}") from None
