"""The faults that check_faults.py plants: the kind of each, and how it is made from a sound photo."""

import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image as Pillow

from finetune.data.channels import Image

Make = Callable[[bytes, Image], bytes]  # from a JPEG's bytes and pixels to the bytes of the faulty file

END = b"\xff\xd9"  # JPEG's end marker
PAGE = b"<!DOCTYPE html><html><title>403 Forbidden</title></html>"


class FileFault(NamedTuple):
    """A faulty file: its kind, how it is made, its extension, and the folder it is put into.

    In `folder`, `{split}` and `{name}` are the photo's split and class, `{other_split}` and `{other_name}` the others.
    """

    kind: str
    how: str
    suffix: str
    make: Make
    folder: str = "{split}/{name}"

    @property
    def is_copy(self) -> bool:
        """Whether the photo itself stays in the data too."""
        return self.kind.startswith(("identical", "near"))


class ClassFault(NamedTuple):
    """Class folders to make, each with some photos of the first class; without names, the second class is removed."""

    kind: str
    how: str
    names: tuple[str, ...]
    train: int
    val: int


def encoded(pixels: Any, extension: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(extension, pixels, options)[1].tobytes()


def saved(pixels: Image, format: str = "JPEG", mode: str = "RGB", orientation: int = 1, **options: Any) -> bytes:
    exif = Pillow.Exif()
    if orientation != 1:
        exif[0x0112] = orientation  # Exif 2.3, table 4
    file = BytesIO()
    Pillow.fromarray(pixels[..., ::-1]).convert(mode).save(file, format, exif=exif, **options)
    return file.getvalue()


def cut(content: bytes, share: float = 0.4, end: bytes = b"") -> bytes:
    return content[: int(len(content) * (1 - share))] + end


def cut_as(format: str) -> Make:
    return lambda _, pixels: cut(saved(pixels, format))


def cut_progressive(share: float) -> Make:
    return lambda _, pixels: cut(saved(pixels, progressive=True), share, END)


def turned(orientation: int) -> Make:
    return lambda _, pixels: saved(pixels, orientation=orientation)


def gray(_: bytes, pixels: Image) -> bytes:
    return saved(pixels, mode="L")


def hole(content: bytes, filler: bytes) -> bytes:
    """Return the content with 4 kB in its middle replaced by the filler."""
    middle = len(content) // 2
    return content[:middle] + filler + content[middle + 4096 :]


def large_png(pixels: Image) -> bytes:
    content = encoded(pixels, ".png")
    header = b"IHDR" + np.array([60_000, 60_000], ">u4").tobytes() + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


def high_jpeg(pixels: Image) -> bytes:
    content = encoded(pixels)
    place = content.index(b"\xff\xc0") + 5  # SOF0: marker, length, bits a sample, height
    return content[:place] + (2 * len(pixels)).to_bytes(2, "big") + content[place + 2 :]


def flat(value: int) -> Image:
    return np.full((375, 500, 3), value, np.uint8)


def written(pixels: Image, text: str, place: tuple[int, int], size: float, value: int) -> Image:
    return cv2.putText(pixels.copy(), text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (value,) * 3, 2)  # type: ignore[return-value]


def shrunk(pixels: Image, short_side: float) -> Image:
    scale = short_side / min(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def thumbnail_on_white(pixels: Image) -> Image:
    page = flat(255)
    small = cv2.resize(pixels, (100, 75), interpolation=cv2.INTER_AREA)
    page[150:225, 200:300] = small
    return page


def strip(pixels: Image) -> Image:
    side = min(pixels.shape[:2])
    return np.ascontiguousarray(pixels[: side // 4, :side])


def cropped(pixels: Image, share: float) -> Image:
    top, left = (max(1, round(side * share / 2)) for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[top:-top, left:-left])


def without_colour(pixels: Image) -> Image:
    return np.repeat(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


def whole(content: bytes, _: Image) -> bytes:
    return content


COPIES: dict[str, tuple[str, Make]] = {
    "JPEG of quality 30": (".jpg", lambda _, pixels: encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 30)),
    "half the size": (".jpg", lambda _, pixels: encoded(shrunk(pixels, min(pixels.shape[:2]) / 2))),
    "cropped by 2 %": (".jpg", lambda _, pixels: encoded(cropped(pixels, 0.02))),
    "cropped by 5 %": (".jpg", lambda _, pixels: encoded(cropped(pixels, 0.05))),
    "brighter by a tenth": (".jpg", lambda _, pixels: encoded(np.clip(pixels * 1.1 + 5, 0, 255))),
    "gray": (".jpg", gray),
    "blurred over 9 pixels": (".jpg", lambda _, pixels: encoded(cv2.GaussianBlur(pixels, (9, 9), 0))),
    "a name in a corner": (".jpg", lambda _, p: encoded(written(p, "photo.example", (9, 30), 1, 255))),
    "128 pixels high or wide": (".jpg", lambda _, pixels: encoded(shrunk(pixels, 128))),
    "saved as PNG": (".png", lambda _, pixels: encoded(pixels, ".png")),
    "stored sideways, rotated by EXIF": (".jpg", lambda _, pixels: saved(np.rot90(pixels), orientation=6)),
    "a byte added at the end": (".jpg", lambda content, _: content + b"\0"),
}
FEW_COPIES = list(COPIES.items())[:3]
FORMATS = ("PNG", "GIF", "WebP", "BMP", "TIFF")

FILE_FAULTS = (
    FileFault("unreadable", "empty", ".jpg", lambda *_: b""),
    FileFault("unreadable", "a web page", ".jpg", lambda *_: PAGE),
    FileFault("unreadable", "JPEG, its first 100 bytes", ".jpg", lambda content, _: content[:100]),
    FileFault("unreadable", "JPEG, the last 40 % missing", ".jpg", lambda content, _: cut(content)),
    *(FileFault("unreadable", f"{name}, the last 40 % missing", f".{name.lower()}", cut_as(name)) for name in FORMATS),
    FileFault("unreadable", "PNG, 4 kB of zeros in it", ".png", lambda _, p: hole(encoded(p, ".png"), bytes(4096))),
    FileFault("unreadable", "the first bytes of a HEIC file", ".HEIC", lambda *_: b"\0\0\0\x18ftypheic"),
    FileFault("unreadable", "PNG that claims 60,000 × 60,000 pixels", ".png", lambda _, pixels: large_png(pixels)),
    FileFault("damaged", "JPEG, the last 40 % missing, closed", ".jpg", lambda c, _: cut(c, 0.4, END)),
    FileFault("damaged", "JPEG, the last 10 % missing, closed", ".jpg", lambda c, _: cut(c, 0.1, END)),
    FileFault("damaged", "the same, rotated by EXIF", ".jpg", lambda _, p: cut(saved(p, orientation=6), 0.1, END)),
    FileFault("damaged", "progressive JPEG, the last 98 % missing, closed", ".jpg", cut_progressive(0.98)),
    FileFault("damaged", "progressive JPEG, the last 80 % missing, closed", ".jpg", cut_progressive(0.80)),
    FileFault("damaged", "JPEG that claims twice its height", ".jpg", lambda _, pixels: high_jpeg(pixels)),
    FileFault("damaged", "JPEG, 4 kB of ones in it", ".jpg", lambda content, _: hole(content, b"\xff" * 4096)),
    FileFault("damaged", "JPEG, 4 kB of zeros in it", ".jpg", lambda content, _: hole(content, bytes(4096))),
    FileFault("damaged", "JPEG, 4 kB in it missing", ".jpg", lambda content, _: hole(content, b"")),
    FileFault("one-colour", "black PNG", ".png", lambda *_: encoded(flat(0), ".png")),
    FileFault("one-colour", "JPEG of the gray that decoders fill in", ".jpg", lambda *_: encoded(flat(128))),
    FileFault(
        "one-colour", "PNG, all transparent", ".png", lambda _, p: encoded(np.dstack([p, 0 * p[..., :1]]), ".png")
    ),
    FileFault("identical-classes", "the same bytes", ".jpg", whole, "{split}/{other_name}"),
    FileFault("identical-sides", "the same bytes", ".jpg", whole, "{other_split}/{name}"),
    *(FileFault("near-classes", how, *copy, "{split}/{other_name}") for how, copy in FEW_COPIES),
    *(FileFault("near-sides", how, *copy, "{other_split}/{name}") for how, copy in FEW_COPIES),
    FileFault("identical", "the same bytes", ".jpg", whole),
    *(FileFault("near", how, *copy) for how, copy in COPIES.items()),
    FileFault(
        "plain",
        "“not found” on gray",
        ".png",
        lambda *_: encoded(written(flat(230), "not found", (170, 200), 1, 120), ".png"),
    ),
    FileFault("plain", "the photo small on white", ".jpg", lambda _, pixels: encoded(thumbnail_on_white(pixels))),
    FileFault("tiny", "48 pixels high or wide", ".jpg", lambda _, pixels: encoded(shrunk(pixels, 48))),
    FileFault("tiny", "32 pixels high or wide", ".png", lambda _, pixels: encoded(shrunk(pixels, 32), ".png")),
    FileFault("narrow", "4 : 1, wide", ".jpg", lambda _, pixels: encoded(strip(pixels))),
    FileFault("narrow", "1 : 4, tall", ".jpg", lambda _, pixels: encoded(np.rot90(strip(pixels)))),
    FileFault("colour-model", "gray JPEG", ".jpg", gray),
    FileFault("colour-model", "gray PNG of three channels", ".png", lambda _, p: encoded(without_colour(p), ".png")),
    FileFault("colour-model", "CMYK JPEG", ".jpg", lambda _, pixels: saved(pixels, mode="CMYK")),
    FileFault("colour-model", "palette PNG", ".png", lambda _, pixels: saved(pixels, "PNG", "P")),
    FileFault("colour-model", "PNG with transparency", ".png", lambda _, pixels: saved(pixels, "PNG", "RGBA")),
    *(FileFault("exif-turn", f"orientation {number}", ".jpg", turned(number)) for number in (2, 3, 6, 8)),
    FileFault("wrong-extension", "PNG named .jpg", ".jpg", lambda _, pixels: encoded(pixels, ".png")),
    FileFault("wrong-extension", "WebP named .jpg", ".jpg", lambda _, pixels: encoded(pixels, ".webp")),
    FileFault("wrong-extension", "JPEG named .png", ".png", whole),
    FileFault("passed-over", "text", ".txt", lambda *_: b"not an image\n"),
    FileFault("passed-over", "web page without extension", "", lambda *_: PAGE),
    FileFault("loose", "next to the classes", ".jpg", whole, "{split}"),
    FileFault("loose", "next to train and val", ".jpg", whole, "."),
)
CLASS_FAULTS = (
    ClassFault("one-class", "one of the two removed", (), 0, 0),
    ClassFault("similar-names", "different case", ("wasps", "Wasps"), 15, 4),
    ClassFault("similar-names", "different punctuation", ("fire_wasps", "fire-wasps"), 15, 4),
    ClassFault("similar-names", "different Unicode form", ("gu\u00eape", "gue\u0302pe"), 15, 4),
    ClassFault("empty-class", "empty folders", ("wasps",), 0, 0),
    ClassFault("class-one-side", "none for validation", ("wasps",), 15, 0),
    ClassFault("class-one-side", "none to train on", ("wasps",), 0, 4),
    ClassFault("few-pictures", "9 to train on", ("wasps",), 9, 4),
    ClassFault("imbalance", "10 to train on, 50 or more in others", ("wasps",), 10, 4),
)
