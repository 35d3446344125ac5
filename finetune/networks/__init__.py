"""The networks: one file for each, and a table of all of them."""

import inspect
from collections.abc import Callable, Mapping

from finetune.errors import UsageError
from finetune.networks.alexnet import alexnet
from finetune.networks.alexnet_bn import alexnet_bn
from finetune.networks.alexnet_book import alexnet_book
from finetune.networks.alexnet_mnist import alexnet_mnist
from finetune.networks.alexnet_owt import alexnet_owt
from finetune.networks.caffenet import caffenet
from finetune.networks.network import Network
from finetune.networks.vgg16 import vgg16
from finetune.system.text import did_you_mean

NETWORKS: dict[str, Callable[..., Network]] = {
    "alexnet": alexnet,
    "caffenet": caffenet,
    "alexnet-owt": alexnet_owt,
    "alexnet-book": alexnet_book,
    "alexnet-bn": alexnet_bn,
    "alexnet-mnist": alexnet_mnist,
    "vgg16": vgg16,
}


def build(name: str, options: Mapping[str, int | str] | None = None) -> Network:
    """Return the network called `name`; raise UsageError for an unknown name or invalid options.

    `options`: arguments of the builder, whole numbers, and `cut_after`, the layer after which only the last is left.
    """
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UsageError(f"there is no network {name!r}{did_you_mean(name, NETWORKS)}; the networks are {known}")
    builder, options = NETWORKS[name], dict(options or {})
    cut_after = options.pop("cut_after", None)
    allowed = inspect.signature(builder).parameters
    for option, value in options.items():
        if option not in allowed:
            raise UsageError(
                f"{name} has no option {option!r}{did_you_mean(option, allowed)}; it has {', '.join(allowed)}"
            )
        if type(value) is not int or value < 0:
            raise UsageError(f"{name}: {option} must be a whole number of 0 or more, not {value!r}")
    network = builder(**options)
    return network if cut_after is None else network.cut(str(cut_after))


__all__ = ["NETWORKS", "Network", "build"]
