"""What is wrong or unusual about a single image: unreadable, damaged, plain, tiny, narrow, rotated, misnamed."""

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from finetune.check.finding_kinds import Finding
from finetune.check.look import ImageLook
from finetune.data.idx import numbered_image
from finetune.data.image_kinds import IMAGE_KINDS
from finetune.system.text import percent, shape_text

ONE_COLOUR = 2.0  # standard deviation of a channel, 0 to 255; JPEG's rounding alone gives less
PLAIN = 0.9  # share of one colour; of 398 photos only an “image not found” has more, the next has 0.88
TINY = 64  # pixels of the short side, and …
TINY_SHARE = 0.25  # … of the median: digits of 28 pixels among others are not tiny
NARROW = 3.0  # long side by short side: the centre crop keeps a third at most


def check_images(looks: Sequence[ImageLook]) -> Iterator[Finding]:
    """Yield what is wrong or unusual about each image, compared with the others where that matters."""
    readable = [image for image in looks if image.error is None]
    median_side = median(min(image.width, image.height) for image in readable) if readable else 0
    models = Counter(image.colour_model for image in readable).most_common(1)
    for image in looks:
        yield from (Finding(kind, text, (image.file.path,)) for kind, text in _faults(image, median_side, models))


def _faults(image: ImageLook, median_side: float, models: list[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """Yield kind and message of everything wrong with one image."""
    if image.error is not None:
        yield "unreadable", image.error
        return
    short, long = sorted((image.width, image.height))
    size = f"{shape_text((image.width, image.height))} pixels"
    if image.damage:
        yield "damaged", image.damage
    if image.dim:
        yield "dim", "16-bit values that use less than half of their range"
    elif image.deviation < ONE_COLOUR:
        yield "one-colour", "all pixels have the same colour"
    elif image.main_colour >= PLAIN:
        yield "plain", f"{percent(image.main_colour, 0)} of the pixels have the same colour"
    if short < min(TINY, TINY_SHARE * median_side):
        yield "tiny", f"{size}; the median short side is {median_side:g}"
    if long >= NARROW * short:
        yield "narrow", f"{size}; the centre crop drops {percent(1 - short / long, 0)}"
    if image.colour_model != models[0][0] and image.main_colour < PLAIN:
        yield "colour-model", f"{image.colour_model}; most are {models[0][0]}"
    if image.orientation != 1:
        yield "exif-turn", f"orientation {image.orientation}"
    suffix = image.file.path.suffix
    if suffix.lower() not in IMAGE_KINDS[image.format].extensions and not numbered_image(image.file.path):
        yield "wrong-extension", f"a {image.format} file with {f'extension {suffix}' if suffix else 'no extension'}"
