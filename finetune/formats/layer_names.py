"""Names for layers in files that give none, or their own."""

from collections.abc import Iterable

VGG16_CONVS = tuple(f"conv{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1))


def conv_names(count: int) -> list[str]:
    """Return the names of `count` convolutions in forward order: VGG16's for its 13, else conv1, conv2, …"""
    return list(VGG16_CONVS) if count == len(VGG16_CONVS) else [f"conv{i}" for i in range(1, count + 1)]


def dense_names(count: int, convs: int) -> list[str]:
    """Return the names of `count` fully connected layers behind `convs` convolutions: fc6, fc7, … behind AlexNet's 5.

    VGG16's follow on its 5 blocks of convolutions.
    """
    first = 6 if convs == len(VGG16_CONVS) else convs + 1
    return [f"fc{i}" for i in range(first, first + count)]


def listed(names: Iterable[str]) -> str:
    """Return a few names for a message, whatever a hostile file put into them."""
    names = list(names)
    return ", ".join(ascii(name[:60])[1:-1] for name in names[:12]) + (", …" if len(names) > 12 else "")
