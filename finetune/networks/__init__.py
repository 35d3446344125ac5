"""The networks: one readable file each, and the table of them."""

from collections.abc import Callable, Mapping

from finetune.errors import UsageError, did_you_mean
from finetune.networks.alexnet import alexnet
from finetune.networks.alexnet_bn import alexnet_bn
from finetune.networks.alexnet_book import alexnet_book
from finetune.networks.alexnet_mnist import alexnet_mnist
from finetune.networks.alexnet_owt import alexnet_owt
from finetune.networks.caffenet import caffenet
from finetune.networks.network import Network
from finetune.networks.vgg16 import vgg16

NETWORKS: dict[str, Callable[..., Network]] = {
    "alexnet": alexnet,
    "caffenet": caffenet,
    "alexnet-owt": alexnet_owt,
    "alexnet-book": alexnet_book,
    "alexnet-bn": alexnet_bn,
    "alexnet-mnist": alexnet_mnist,
    "vgg16": vgg16,
}


def build(name: str, options: Mapping[str, int] | None = None) -> Network:
    """Return the network called `name`; raise UsageError when there is none of that name or with those options."""
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UsageError(f"there is no network {name!r}{did_you_mean(name, NETWORKS)}; the networks are {known}")
    try:
        return NETWORKS[name](**(options or {}))
    except TypeError as error:
        raise UsageError(f"{name} cannot be built with options {dict(options or {})}: {error}") from None


__all__ = ["NETWORKS", "Network", "build"]
