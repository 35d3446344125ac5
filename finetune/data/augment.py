"""Augmentation: how the views of a training image differ from the image as used for prediction.

Crop, mirror image, colour jitter and lighting noise; the components of the noise come from `finetune.data.lighting`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from finetune.choices import Crop
from finetune.data.channels import Image, in_channel_order
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing, with_margin
from finetune.data.resize import resize, resize_for_crop
from finetune.errors import UsageError
from finetune.system.text import did_you_mean

Pixels = NDArray[np.float32]
Vector = tuple[float, float, float]

# Szegedy et al. 2015, section 6, and torchvision's RandomResizedCrop: the crop's share of the area, its width / height.
# They begin at 0.08, to train all layers on a million images; with few images that too often crops the object away.
_AREAS = 0.5, 1.0
_RATIOS = 3 / 4, 4 / 3
_LOG_RATIOS = math.log(3 / 4), math.log(4 / 3)
_TRIES = 10  # as torchvision, which then takes the centre
_GRAY_BGR = np.array((0.114, 0.587, 0.299), np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Lighting:
    """The principal components of the training pixels, the strongest first.

    `vectors`: unit vectors, each red, green, blue. `scales`: how far a factor of 1 shifts the pixels along each, in
    units of 0 to 255: their standard deviation along it, the square root of the covariance matrix's eigenvalue, or what
    `as_in_paper` makes of it.
    """

    scales: Vector
    vectors: tuple[Vector, Vector, Vector]

    @classmethod
    def of(cls, scales: Iterable[Any], vectors: Iterable[Iterable[Any]]) -> "Lighting":
        """Return the lighting of 3 scales and 3 × 3 vectors in any iterables; raise ValueError for other counts."""
        first, second, third = (_vector(vector) for vector in vectors)
        return cls(_vector(scales), (first, second, third))

    def as_in_paper(self) -> "Lighting":
        """Return the same components with eigenvalues in place of standard deviations, for pixels from 0 to 1.

        Krizhevsky et al. 2012, section 4.1, add the components times α · λ, where λ are the eigenvalues of the
        covariance matrix of the pixels and α is normal with standard deviation PAPER_LIGHTING. They do not state the
        pixels' range; from 0 to 255, λ is about 10,000, and every image would be black or white. Programs that follow
        the text, such as Facebook's fb.resnet.torch, take pixels from 0 to 1.
        """
        return replace(self, scales=_vector((scale / 255) ** 2 * 255 for scale in self.scales))

    def shift(self, factors: NDArray[np.float64]) -> Pixels:
        """Return the red, green and blue to add, given the `factors` drawn for the three components."""
        return (factors * self.scales @ np.array(self.vectors)).astype(np.float32)


@dataclass(frozen=True)
class Augmentation:
    """What is drawn for a view of a training image; view 0, the image as used for prediction, is never changed.

    `crop`: "center", as for prediction; "random", anywhere in the image resized `with_margin`, as Krizhevsky et al.
    2012, section 4.1; "resized", half to all of the image's area, up to 4 : 3 or 3 : 4, squeezed into the square, after
    Szegedy et al. 2015. `flip`: half of the views are mirrored. `color_jitter`: brightness, contrast and saturation are
    changed by factors within 1 ± this, in any order, as torchvision's ColorJitter. `lighting`: all pixels are shifted
    along each principal component of the training pixels by a normal number with this standard deviation, in units of
    `Lighting.scales`: by default standard deviations of the pixels, as in Krizhevsky's program cuda-convnet2. It needs
    `components`. `mirrored`: all views but 0 are the mirror image of view 0, and nothing else happens to them.

    A gray network sees only the resulting gray: lighting brightens or darkens it, and saturation changes nothing.
    Raises UsageError for values out of range.
    """

    crop: Crop = "center"
    flip: bool = False
    color_jitter: float = 0.0
    lighting: float = 0.0
    components: Lighting | None = None
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.crop not in get_args(Crop):
            raise UsageError(f"crop must be one of {', '.join(get_args(Crop))}, not {self.crop!r}")
        for name in ("color_jitter", "lighting"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be from 0 to 1, not {getattr(self, name)}")

    @property
    def changes(self) -> bool:
        """Whether any view differs from the image as used for prediction."""
        return self.crop != "center" or self.flip or self.color_jitter > 0 or self.lighting > 0 or self.mirrored

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values: their text is part of the key of stored features."""
        return asdict(self)


MIRRORED = Augmentation(mirrored=True)  # what a linear probe is fitted on, next to the image itself

PAPER_LIGHTING = 0.1  # Krizhevsky et al. 2012, section 4.1

LEVELS: Mapping[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(crop="random", flip=True),
    "alexnet": Augmentation(crop="random", flip=True, lighting=0.1),  # Krizhevsky et al. 2012, section 4.1
    "strong": Augmentation(crop="resized", flip=True, color_jitter=0.4, lighting=0.1),
}


def augmentation_of(
    level: str,
    crop: Crop | None = None,
    flip: bool | None = None,
    lighting: float | None = None,
    color_jitter: float | None = None,
) -> Augmentation:
    """Return the augmentation of a level, with the given settings in place of its own; UsageError as for any other.

    If its `lighting` is above 0, the caller has to add the `components`.
    """
    if level not in LEVELS:
        raise UsageError(
            f"unknown augmentation {level!r}{did_you_mean(level, LEVELS)}; the levels are {', '.join(LEVELS)}"
        )
    settings = {"crop": crop, "flip": flip, "lighting": lighting, "color_jitter": color_jitter}
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    return replace(LEVELS[level], **given)


def view_generator(digest: str, view: int) -> np.random.Generator | None:
    """Return the generator for a view, seeded by the image's `digest` and the view's number alone.

    None for view 0, the image as used for prediction, for which nothing is drawn.
    """
    return np.random.default_rng([view, int(digest[:16], 16)]) if view else None


def augmented_input(
    image: Image, preprocessing: Preprocessing, generator: np.random.Generator | None, augmentation: Augmentation
) -> Image:
    """Return the network's input, as `to_input` does, with the augmentation's changes drawn from `generator`.

    Without a generator it is `to_input`. All draws are made in the same order every time.
    """
    if generator is None:
        return to_input(image, preprocessing)
    if augmentation.mirrored:
        return np.ascontiguousarray(to_input(image, preprocessing)[:, ::-1])
    size = preprocessing.size
    if augmentation.crop == "resized":
        square = resize(random_part(image, generator), size, size, preprocessing.interpolation)
    elif preprocessing.resize == "warp":
        square = resize(image, size, size, preprocessing.interpolation)
    else:
        random = augmentation.crop == "random"
        resized = resize_for_crop(image, with_margin(preprocessing) if random else preprocessing)
        free = resized.shape[0] - size, resized.shape[1] - size
        top, left = (generator.integers(n + 1) if random else n // 2 for n in free)
        square = resized[top : top + size, left : left + size]
    return in_channel_order(flip_and_recolour(square, augmentation, generator), preprocessing.channel_order)


def random_part(image: Image, generator: np.random.Generator) -> Image:
    """Return the part of an image for a "resized" crop: its area and the logarithm of its aspect ratio are uniform.

    If none of ten draws fits, as in very long images, it is the centre.
    """
    height, width = image.shape[:2]
    for _ in range(_TRIES):
        area = height * width * generator.uniform(*_AREAS)
        ratio = math.exp(generator.uniform(*_LOG_RATIOS))
        rows, columns = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)
            return image[top : top + rows, left : left + columns]
    rows, columns = min(height, round(width / _RATIOS[0])), min(width, round(height * _RATIOS[1]))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def flip_and_recolour(square: Image, augmentation: Augmentation, generator: np.random.Generator) -> Image:
    """Return a BGR image mirrored and with its colours changed, as drawn; every step is clipped to 0 to 255."""
    if augmentation.flip and generator.integers(2):
        square = square[:, ::-1]
    if not (augmentation.color_jitter or augmentation.lighting):
        return square
    pixels = square.astype(np.float32)
    if augmentation.color_jitter:
        pixels = _jitter(pixels, augmentation.color_jitter, generator)
    if augmentation.lighting:
        if augmentation.components is None:
            raise UsageError("lighting needs the principal components of the training pixels; set components")
        factors = generator.normal(scale=augmentation.lighting, size=3)
        pixels = pixels + augmentation.components.shift(factors)[::-1]
    return np.rint(pixels).clip(0, 255).astype(np.uint8)


def _jitter(pixels: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    """Blend with black, the mean gray and each pixel's own gray, in random order: a factor below 1 fades to it."""
    factors = generator.uniform(1 - strength, 1 + strength, size=3).astype(np.float32)
    for step in generator.permutation(3):
        match step:
            case 0:
                other = np.zeros((), np.float32)
            case 1:
                other = (pixels @ _GRAY_BGR).mean()
            case _:
                other = (pixels @ _GRAY_BGR)[..., None]
        pixels = (other + factors[step] * (pixels - other)).clip(0, 255)
    return pixels


def _vector(values: Iterable[Any]) -> Vector:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
