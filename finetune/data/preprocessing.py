"""How an image becomes network input: a property of the weights, which is stored in their file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from finetune.choices import AS_TRAINED, NO_MEAN, Interpolation, Resize
from finetune.errors import UsageError, WeightsError
from finetune.system.ranges import pixel_values

# Mean of the ILSVRC 2012 training pixels per channel, from BVLC's data/ilsvrc12/imagenet_mean.binaryproto.
CAFFE_MEAN_BGR = (104.007, 116.669, 122.679)

# Mean and standard deviation of the same pixels as torchvision's transforms state them, there in units of 0 to 1.
TORCHVISION_MEAN_RGB = (255 * 0.485, 255 * 0.456, 255 * 0.406)
TORCHVISION_STD_RGB = (255 * 0.229, 255 * 0.224, 255 * 0.225)

LARGEST_SIDE = 2048  # pixels that a file may ask for; a batch of 32 such images is 1.6 GB

ChannelOrder = Literal["BGR", "RGB", "GRAY"]


@dataclass(frozen=True)
class Preprocessing:
    """Size, geometry, channel order, mean and scale of a network's input.

    `size`: side of the square input in pixels. `resize`: "crop" resizes the short side to `resize_to` pixels and takes
    the centre, "warp" squeezes the whole image into the square. `mean` and `std`: per channel in `channel_order`, in
    units of 0 to 255; input = (pixel - mean) / std. `resize_to` 0 means 256 / 227 of the size, as BVLC trained.
    `interpolation`: how images shrink, "area" by averages, "linear" between four pixels, as `cv2.resize` by default.
    Raises UsageError for values that contradict each other.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    channel_order: ChannelOrder = "BGR"
    resize: Resize = "crop"
    resize_to: int = 0
    interpolation: Interpolation = "area"

    def __post_init__(self) -> None:
        for name, kind in (("resize", Resize), ("channel_order", ChannelOrder), ("interpolation", Interpolation)):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"{name} must be one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}")
        if not self.resize_to:
            object.__setattr__(self, "resize_to", round(self.size * 256 / 227))
        if not 0 < self.size <= self.resize_to:
            raise UsageError(
                f"a crop of {self.size} pixels does not fit into {self.resize_to}; size must be 1 to resize_to"
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise UsageError(
                f"mean and std need {self.channels} values for {self.channel_order}, "
                f"not {len(self.mean)} and {len(self.std)}"
            )

    @property
    def channels(self) -> int:
        """The number of channels of the input."""
        return 1 if self.channel_order == "GRAY" else 3

    @property
    def short_side(self) -> int | None:
        """How many pixels the short side of an image needs before it is resized; None if it needs all that it has."""
        if self.interpolation == "linear":  # a decoder that averages would change what is interpolated
            return None
        return self.resize_to if self.resize == "crop" else self.size

    def normalize(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (pixels - mean) / std as float32; any leading shape, channels last."""
        mean, std = (np.array(values, dtype=np.float32) for values in (self.mean, self.std))
        normalized: NDArray[np.float32] = (pixels.astype(np.float32) - mean) / std
        return normalized

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; `interpolation` only if it is not the usual one.

        So version 0.1.0, which does not know it, reads what is not concerned, and cached features stay in use.
        """
        fields = asdict(self)
        if self.interpolation == "area":
            del fields["interpolation"]
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Preprocessing":
        """Return the preprocessing that `to_json` wrote; raise WeightsError for any other value."""
        try:
            lists = {name: tuple(float(v) for v in fields[name]) for name in ("mean", "std")}
            sides = [fields["size"], fields.get("resize_to", 0)]
            if any(type(side) is not int or side > LARGEST_SIDE for side in sides):
                raise ValueError(f"size and resize_to must be whole numbers up to {LARGEST_SIDE}")
            if not all(isfinite(v) for values in lists.values() for v in values) or min(lists["std"], default=1) <= 0:
                raise ValueError("mean must be finite numbers, std finite numbers above 0")
            return cls(**{**fields, **lists})
        except (TypeError, KeyError, ValueError, OverflowError, AttributeError, UsageError) as error:
            raise WeightsError(
                f"the preprocessing in the file cannot be understood ({error}); write the file again"
            ) from None


def with_margin(preprocessing: Preprocessing) -> Preprocessing:
    """Return the preprocessing for crops that differ from the centre: they need an image larger than the input.

    Where `resize_to` leaves no such margin it becomes 256 / 227 of the size, as BVLC trained.
    """
    if preprocessing.resize_to > preprocessing.size:
        return preprocessing
    return replace(preprocessing, resize_to=0)


def with_changes(
    preprocessing: Preprocessing,
    resize: Resize | None = None,
    mean: str = AS_TRAINED,
    interpolation: Interpolation | None = None,
) -> Preprocessing:
    """Return the preprocessing with what is given in its place.

    `mean`: "weights" leaves it as it is, "none" subtracts nothing, numbers as text, such as "104,117,123", are those of
    blue, green and red, or the one of gray, from 0 to 255. Raises UsageError for other than one number per channel.
    """
    values = preprocessing.mean
    if mean == NO_MEAN:
        values = (0.0,) * preprocessing.channels
    elif mean != AS_TRAINED:
        given = pixel_values(mean) or ()
        if len(given) != preprocessing.channels:
            raise UsageError(
                f"--mean {mean}: the network takes {preprocessing.channel_order}; expected "
                + ("one number" if preprocessing.channels == 1 else "three numbers, for blue, green and red")
            )
        values = given[::-1] if preprocessing.channel_order == "RGB" else given
    return replace(
        preprocessing,
        mean=values,
        resize=resize or preprocessing.resize,
        interpolation=interpolation or preprocessing.interpolation,
    )


# The input of all the weights that torchvision publishes, and of those that were trained as it trains.
TORCHVISION = Preprocessing(
    size=224, mean=TORCHVISION_MEAN_RGB, std=TORCHVISION_STD_RGB, channel_order="RGB", resize_to=256
)
