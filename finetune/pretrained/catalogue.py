"""The published weights by name: where they come from, and how good they are. Data only; nothing looks at the disk."""

from dataclasses import dataclass

from finetune.data.preprocessing import TORCHVISION, Preprocessing


@dataclass(frozen=True)
class Download:
    """One address that offers the weights, over http or https.

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

    `downloads`: in order of preference, those with a digest first; none when the weights are part of this package, in
    a file with `packaged_digest`.
    `top1`, `top5`: per cent on the ILSVRC 2012 validation set, centre crop, as the publisher states them.
    `preprocessing`: that of the training, None where it is the network's own.
    """

    name: str
    network: str
    num_classes: int
    downloads: tuple[Download, ...]
    licence: str
    top1: float | None
    top5: float | None
    preprocessing: Preprocessing | None = None
    packaged_digest: str | None = None

    @property
    def digest(self) -> str | None:
        """The digest of the preferred download, or of the file in this package."""
        return self.downloads[0].digest if self.downloads else self.packaged_digest

    @property
    def files(self) -> tuple[str, ...]:
        """The possible names of a file with these weights, the fastest to load first."""
        return (f"{self.name}.safetensors", *(download.file for download in self.downloads))

    @property
    def source(self) -> str:
        """Where the weights come from, for people."""
        return self.downloads[0].url if self.downloads else "part of this package"


_ONNX_ZOO = "https://github.com/onnx/models/raw/main/validated/vision/classification"

CATALOGUE = {
    entry.name: entry
    for entry in (
        Entry(
            name="bvlc_alexnet",
            network="alexnet",
            num_classes=1000,
            downloads=(
                Download(
                    url="http://dl.caffe.berkeleyvision.org/bvlc_alexnet.caffemodel",
                    file="bvlc_alexnet.caffemodel",
                    digest="sha1:9116a64c0fbe4459d18f4bb6b56d647b63920377",
                ),
                Download(
                    url=f"{_ONNX_ZOO}/alexnet/model/bvlcalexnet-12.onnx",
                    file="bvlcalexnet-12.onnx",
                    size=243_863_787,
                    digest="sha256:6b0da9510f27f234ee96a85dc3809dd210150fdefad87f6850f9788513216945",
                ),
                Download(
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
            downloads=(
                Download(
                    url="http://dl.caffe.berkeleyvision.org/bvlc_reference_caffenet.caffemodel",
                    file="bvlc_reference_caffenet.caffemodel",
                    digest="sha1:4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46",
                ),
                Download(
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
            downloads=(
                Download(
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
            downloads=(
                Download(
                    url="https://download.pytorch.org/models/vgg16-397923af.pth",
                    file="vgg16-397923af.pth",
                    size=553_433_881,
                    digest="sha256-prefix:397923af",
                ),
            ),
            licence="BSD-3-Clause",
            top1=71.592,
            top5=90.382,
            preprocessing=TORCHVISION,
        ),
        Entry(
            name="vgg16",
            network="vgg16",
            num_classes=1000,
            downloads=(
                Download(
                    url=f"{_ONNX_ZOO}/vgg/model/vgg16-12.onnx",
                    file="vgg16-12.onnx",
                    size=553_437_752,
                    digest="sha256:722c42f53ca03a5480296bf8f9c85a151de3eed9ec982d7d2302ff6e2900c67b",
                ),
            ),
            licence="Apache-2.0",
            top1=72.38,
            top5=91.00,
            preprocessing=TORCHVISION,  # trained with MXNet on that input, says the zoo's README for VGG
        ),
        Entry(
            name="starter",
            network="alexnet",
            num_classes=200,
            downloads=(),
            licence="trained on Tiny ImageNet: research, education",
            top1=None,  # on Tiny ImageNet's own 200 classes; see weights/README.md
            top5=None,
            packaged_digest="sha256:73fe00c1d3b45993b1acfe40f6559ce1a872938224797fdb27998919177ec73e",
        ),
    )
}

# The weights that `auto` looks for first, by network; of two sets for one network, those that need no extra package.
PUBLISHED = {
    "alexnet": "bvlc_alexnet",
    "caffenet": "bvlc_caffenet",
    "alexnet-owt": "torchvision_alexnet",
    "vgg16": "torchvision_vgg16",
}
FALLBACK = {"alexnet": "starter"}  # the weights that `auto` uses when those are not here and cannot be fetched


def entry_of(name: str) -> Entry | None:
    """Return the published weights of this name, or those with a file of this name; None if there are none."""
    return CATALOGUE.get(name) or next((entry for entry in CATALOGUE.values() if name in entry.files), None)
