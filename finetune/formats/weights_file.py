"""The content of a weights file as every reader returns it, and the file that every writer writes to."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from numpy.typing import NDArray

from finetune.errors import WeightsError
from finetune.system.atomic import replacing

Array = NDArray[Any]


def layer_of(weight: str) -> str:
    """Return the layer that owns a weight: `conv1` of `conv1/kernel`."""
    return weight.rpartition("/")[0]


@dataclass(frozen=True)
class WeightsFile:
    """The content of a weights file, not yet checked against a network.

    `tensors`: `layer/weight` -> array in the file's own floating-point type, in forward order where the file has one.
    Layer names are Caffe's (`conv1`, `fc6`, `conv1_1`). Kernels are (height, width, input channels / groups, filters)
    and (inputs, units); batch norm has `gamma`, `beta`, `moving_mean`, `moving_variance`.
    `channel_first`: the rows of the first fully connected kernel are ordered channel, height, width, as Caffe, ONNX
    and PyTorch flatten; otherwise height, width, channel.
    `network`: the network's name where the file states it (never guessed from shapes).
    `metadata`: options, preprocessing, class names, … as a file written by finetune states them; other formats have
    none, apart from the preprocessing where the reader knows it.
    `others`: the file's names of entries that are not tensors.
    `run`: the folder of the run whose model this is; all runs call it alike, so messages name the folder.
    """

    path: Path
    format: str
    tensors: Mapping[str, Array]
    channel_first: bool = False
    network: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    run: Path | None = None

    @property
    def name(self) -> str:
        """What messages call the file."""
        return str(self.run) if self.run else self.path.name

    def layers(self) -> list[str]:
        """Return the names of the layers in the file, in its order."""
        return list(dict.fromkeys(map(layer_of, self.tensors)))

    def missing(self, names: Iterable[str]) -> list[str]:
        """Return which of the tensors `names` the file lacks; a layer of which it has nothing as `conv1`."""
        layers, lacking = self.layers(), [name for name in names if name not in self.tensors]
        return list(dict.fromkeys(name if layer_of(name) in layers else layer_of(name) for name in lacking))


@contextmanager
def new_weights_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that takes the name `path` when the block ends without an error; otherwise it is deleted.

    Raises WeightsError when the disk or the folder refuses.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            yield file
    except OSError as error:
        folder = path.parent.absolute()
        raise WeightsError(f"{path.name}: cannot be written ({error.strerror}); check {folder}") from None
