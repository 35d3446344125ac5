"""Layer names for files that have none, or their own."""

VGG16_CONVS = tuple(f"conv{block}_{i}" for block, count in enumerate((2, 2, 3, 3, 3), 1) for i in range(1, count + 1))


def conv_names(count: int) -> list[str]:
    """Return the names of `count` convolutions in forward order: VGG16's for 13, otherwise conv1, conv2, …"""
    return list(VGG16_CONVS) if count == len(VGG16_CONVS) else [f"conv{i}" for i in range(1, count + 1)]


def dense_names(count: int, convs: int) -> list[str]:
    """Return the names of `count` fully connected layers after `convs` convolutions: fc6, fc7, … after AlexNet's 5.

    VGG16's count on from its 5 blocks of convolutions.
    """
    first = 6 if convs == len(VGG16_CONVS) else convs + 1
    return [f"fc{i}" for i in range(first, first + count)]
