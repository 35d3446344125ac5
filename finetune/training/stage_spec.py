"""Which layers are trained when: staged unfreezing, as --stages says."""

from typing import NamedTuple

from finetune.errors import UsageError
from finetune.networks.network import Network


class Stage(NamedTuple):
    """Which layers are trained, in forward order, and for how many epochs."""

    layers: tuple[str, ...]
    epochs: int


def parse_stages(text: str, network: Network, skip: tuple[str, ...]) -> tuple[Stage, ...]:
    """Return the stages of `fc8:10,fc6-fc8:10,all:5`: a layer, a range of layers or all, and the epochs of each.

    Layers are added from stage to stage and never removed, since a layer that is frozen again would not have its loaded
    values; fresh layers are trained from the first stage on. Raises UsageError for anything else.
    """
    stages: list[Stage] = []
    for part in text.split(","):
        span, _, epochs = part.strip().rpartition(":")
        if not span or not epochs.isdecimal() or int(epochs) < 1:
            raise UsageError(f"--stages: expected LAYERS:EPOCHS with 1 epoch or more, not {part.strip()!r}")
        layers = _layers(span.strip(), network)
        left = [name for name in (stages[-1].layers if stages else skip) if name not in layers]
        if left:
            why = (
                "every stage trains what the one before it did" if stages else "fresh layers are trained from the first"
            )
            raise UsageError(f"--stages: {part.strip()} omits {left[0]}, but {why}")
        stages.append(Stage(layers, int(epochs)))
    return tuple(stages)


def _layers(span: str, network: Network) -> tuple[str, ...]:
    known = network.weighted_layers()
    if span == "all":
        return tuple(known)
    first, _, last = span.partition("-")
    network.check_layers(tuple(name for name in (first, last) if name), "--stages")
    start, stop = known.index(first), known.index(last or first)
    if stop < start:
        raise UsageError(f"--stages: {span} runs backwards; expected {last}-{first}")
    return tuple(known[start : stop + 1])
