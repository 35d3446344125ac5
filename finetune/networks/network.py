"""A network: its name, options and preprocessing, and a list of named layers in forward order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError
from finetune.formats.weights_file import layer_of
from finetune.networks.layers import STATISTICS, AdaptiveAveragePool, Dense, Dropout, Layer, MaxPool, Shape
from finetune.system.text import did_you_mean


class Step(NamedTuple):
    """A layer with the shapes of its input and its output."""

    layer: Layer
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True)
class Network:
    """A network as data; `finetune.networks.forward` computes it.

    `options` rebuild the same network: the arguments of its builder (num_classes, input_size, fc_units) and, if it is
    cut, `cut_after`, the name of a layer.
    """

    name: str
    options: Mapping[str, int | str]
    preprocessing: Preprocessing
    layers: tuple[Layer, ...]
    adam_learning_rate: float = 1e-4  # Adam's default for it; larger ones diverge with 4,096 units

    def __post_init__(self) -> None:
        for step in self.steps():
            if min(step.output_shape) < 1:
                options = ", ".join(f"{name}={value}" for name, value in self.options.items())
                raise UsageError(
                    f"{self.name}: nothing is left after {step.layer.name} with {options}; use larger values"
                )

    @property
    def input_shape(self) -> Shape:
        """The shape of the input: (height, width, channels)."""
        return (self.preprocessing.size, self.preprocessing.size, self.preprocessing.channels)

    @property
    def num_classes(self) -> int:
        """The number of outputs."""
        return int(self.options["num_classes"])

    def steps(self) -> Iterator[Step]:
        """Yield every layer in forward order with its shapes."""
        shape = self.input_shape
        for layer in self.layers:
            out = layer.output_shape(shape)
            yield Step(layer, shape, out)
            shape = out

    def shape_before(self, name: str) -> Shape:
        """Return the shape of one image's input to the layer `name`."""
        return next(step.input_shape for step in self.steps() if step.layer.name == name)

    def weight_shapes(self) -> dict[str, Shape]:
        """Return the shape of every weight, `layer/weight` -> shape, in forward order."""
        return {
            f"{step.layer.name}/{weight}": shape
            for step in self.steps()
            for weight, shape in step.layer.weight_shapes(step.input_shape).items()
        }

    def parameters(self) -> int:
        """Return the number of all parameters, including batch norm's statistics."""
        return sum(prod(shape) for shape in self.weight_shapes().values())

    def trainable_parameters(self) -> int:
        """Return the number of parameters that gradients can change."""
        return sum(prod(s) for name, s in self.weight_shapes().items() if not name.endswith(STATISTICS))

    def weighted_layers(self) -> list[str]:
        """Return the names of the layers that have weights, in forward order."""
        return list(dict.fromkeys(layer_of(name) for name in self.weight_shapes()))

    def first_dense(self) -> Step | None:
        """Return the first fully connected layer with its shapes: the one that flattens an image. None without one."""
        return next((step for step in self.steps() if isinstance(step.layer, Dense)), None)

    def check_layers(self, names: tuple[str, ...], option: str) -> tuple[str, ...]:
        """Return `names` in forward order; raise UsageError for a name that is not a layer with weights."""
        known = self.weighted_layers()
        for name in names:
            if name not in known:
                raise UsageError(
                    f"{option}: {self.name} has no layer {name!r} with weights{did_you_mean(name, known)}; "
                    f"its layers are {', '.join(known)}"
                )
        return tuple(name for name in known if name in names)

    def probe_layers(self) -> list[str]:
        """Return the layers whose output a linear probe tries: the last pooling and every fully connected one but fc8.

        Measured on six sets of photos, no earlier layer was ever the best.
        """
        pools = [layer.name for layer in self.layers if isinstance(layer, MaxPool | AdaptiveAveragePool)]
        return pools[-1:] + [layer.name for layer in self.layers if isinstance(layer, Dense)][:-1]

    def cut(self, after: str) -> "Network":
        """Return this network cut after a layer, with its last fully connected layer reading that layer's output.

        Raises UsageError for a layer that it does not have, or from the last fully connected one on.
        """
        last = next((layer for layer in reversed(self.layers) if isinstance(layer, Dense)), None)
        names = [layer.name for layer in self.layers[: self.layers.index(last)]] if last else []
        if last is None or after not in names:
            known = f"expected one of {', '.join(names)}" if names else "it has no classes"
            raise UsageError(f"{self.name} cannot be cut after {after!r}{did_you_mean(after, names)}; {known}")
        layers = (*self.layers[: names.index(after) + 1], last)
        return replace(self, layers=layers, options={**self.options, "cut_after": after})

    def split(self, trained: tuple[str, ...]) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
        """Return trunk and head: the layers before the first trained one, and the others.

        Dropout just before the first trained layer belongs to the head, since it drops other values at every step.
        """
        cut = next((i for i, layer in enumerate(self.layers) if layer.name in trained), len(self.layers))
        while cut > 0 and isinstance(self.layers[cut - 1], Dropout):
            cut -= 1
        return self.layers[:cut], self.layers[cut:]
