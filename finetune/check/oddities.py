"""What is odd about single pictures, and which are copies of each other."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from statistics import median

import numpy as np

from finetune.check.copies import nearest_kept
from finetune.check.finding import Finding
from finetune.check.look import Seen
from finetune.data.idx import idx_place

ONE_COLOUR = 2.0  # standard deviation of a channel, 0 to 255; JPEG's rounding alone gives less
PLAIN = 0.9  # share of one colour; of 398 photos only an “image not found” has more, the next has 0.88
TINY = 64  # pixels of the short side, and …
TINY_SHARE = 0.25  # … of the median: digits of 28 pixels among others are not tiny
NARROW = 3.0  # long side by short side: the centre crop keeps a third at most

_EXTENSIONS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}


def check_pictures(seen: Sequence[Seen]) -> Iterator[Finding]:
    """Yield what is odd about each picture, beside the others where that counts."""
    readable = [picture for picture in seen if picture.error is None]
    usual = median(min(picture.width, picture.height) for picture in readable) if readable else 0
    models = Counter(picture.colour_model for picture in readable).most_common(1)
    for picture in seen:
        yield from (Finding(kind, text, (picture.file.path,)) for kind, text in _faults(picture, usual, models))


def _faults(picture: Seen, usual: float, models: list[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """Yield kind and message of what is wrong with one picture."""
    if picture.error is not None:
        yield "unreadable", picture.error
        return
    short, long = sorted((picture.width, picture.height))
    if picture.damage:
        yield "damaged", picture.damage
    if picture.deviation < ONE_COLOUR:
        yield "one-colour", "all pixels have one colour"
    elif picture.main_colour >= PLAIN:
        yield "plain", f"{picture.main_colour:.0%} of the pixels have one colour"
    if short < min(TINY, TINY_SHARE * usual):
        yield (
            "tiny",
            f"{picture.width} × {picture.height} pixels; half of the pictures have a short side of {usual:g} or more",
        )
    if long >= NARROW * short:
        yield "narrow", f"{picture.width} × {picture.height} pixels; the crop leaves out {1 - short / long:.0%}"
    if picture.colour_model != models[0][0] and picture.main_colour < PLAIN:
        yield "colour-model", f"{picture.colour_model}; most are {models[0][0]}"
    if picture.orientation != 1:
        yield "exif-turn", f"orientation {picture.orientation}"
    extension = picture.file.path.suffix
    if extension.lower() not in _EXTENSIONS[picture.format] and not idx_place(picture.file.path):
        yield "wrong-extension", f"a {picture.format} file with {extension or 'no extension'}"


def check_copies(seen: Iterable[Seen]) -> Iterator[Finding]:
    """Yield every group of identical or nearly identical pictures, the one to keep first.

    That is one of validation, so that accuracy stays comparable, then the one with the most pixels. A picture has its
    side here.
    """
    readable = [picture for picture in seen if picture.error is None]
    readable.sort(key=lambda p: (p.file.side != "val", -p.width * p.height, p.file.path))
    by_digest: dict[str, list[Seen]] = {}
    for picture in readable:
        by_digest.setdefault(picture.digest, []).append(picture)
    for same in by_digest.values():
        if len(same) > 1:
            yield _copies("identical", same)
    firsts = [same[0] for same in by_digest.values() if len({picture.file.class_name for picture in same}) == 1]
    firsts = [picture for picture in firsts if picture.deviation >= ONE_COLOUR and not picture.damage]
    codes = [picture.codes for picture in firsts if picture.codes is not None]
    if len(codes) < 2:
        return
    by_kept: dict[int, list[Seen]] = {}
    for kept, picture in zip(nearest_kept(np.stack(codes)).tolist(), firsts, strict=True):
        by_kept.setdefault(kept, []).append(picture)
    for same in by_kept.values():
        if len(same) > 1:
            yield _copies("near", same)


def _copies(kind: str, same: Sequence[Seen]) -> Finding:
    classes = sorted({picture.file.class_name for picture in same})
    sides = sorted({str(picture.file.side) for picture in same})
    if len(classes) > 1:
        kind, where = f"{kind}-classes", f" in {' and '.join(map(repr, classes))}"
    elif len(sides) > 1:
        kind, where = f"{kind}-sides", f" of {classes[0]!r}"
    else:
        where = f" of {classes[0]!r} in {sides[0]}"
    return Finding(kind, f"{len(same)} pictures{where}", tuple(picture.file.path for picture in same))
