"""The networks: one readable file each, and the table of them."""

from collections.abc import Callable, Mapping

from finetune.errors import UsageError, did_you_mean
from finetune.networks.alexnet import alexnet
from finetune.networks.network import Network

NETWORKS: dict[str, Callable[..., Network]] = {
    "alexnet": alexnet,
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
