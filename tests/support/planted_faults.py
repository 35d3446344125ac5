"""Data sets with planted faults, and what a check finds in them."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from finetune.check.check import Check
from support.drawn_photos import encoded, photo, write_photos


def write_sound_data(root: Path) -> None:
    """Write two classes with splits, 12 photos each to train on and 3 to validate, without faults."""
    for place, start, count in (
        ("train/ants", 0, 12),
        ("train/bees", 20, 12),
        ("val/ants", 40, 3),
        ("val/bees", 50, 3),
    ):
        write_photos(root / place, range(start, start + count))


def found(checked: Check) -> list[tuple[str, list[str]]]:
    """Return the kinds of a check's findings, with the files relative to the data."""
    return [
        (finding.kind, [path.relative_to(checked.data).as_posix() for path in finding.paths])
        for finding in checked.findings
    ]


def plant_faults(data: Path) -> None:
    """Add faults of single files and of copies to `write_sound_data`."""
    ants, bees = data / "train/ants", data / "train/bees"
    (ants / "empty.jpg").touch()
    (ants / "cut.png").write_bytes(encoded(photo(101), ".png")[:9000])
    sound = encoded(photo(102))
    (ants / "part.jpg").write_bytes(sound[: len(sound) * 6 // 10] + b"\xff\xd9")
    (ants / "ones.jpg").write_bytes(sound[: len(sound) // 2] + b"\xff" * 99 + sound[len(sound) // 2 + 99 :])
    (ants / "black.png").write_bytes(encoded(np.zeros((90, 90, 3), np.uint8), ".png"))
    placeholder = np.full((120, 160, 3), 240, np.uint8)
    cv2.putText(placeholder, "not found", (30, 60), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (90, 90, 90))
    (ants / "placeholder.png").write_bytes(encoded(placeholder, ".png"))
    (ants / "tiny.png").write_bytes(encoded(photo(103, 30, 36), ".png"))
    (ants / "strip.png").write_bytes(encoded(photo(104, 60, 180), ".png"))
    (ants / "gray.png").write_bytes(encoded(cv2.cvtColor(photo(105), cv2.COLOR_BGR2GRAY), ".png"))
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(photo(106)).save(ants / "turned.jpg", exif=exif)
    (ants / "png.jpg").write_bytes(encoded(photo(107), ".png"))
    (ants / "notes.txt").write_text("not an image")
    (ants / "one.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (ants / "two.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (ants / "clip.mov").touch()
    (ants / "film.MOV").write_bytes(b"\0\0\0\x18ftypqt  ")
    for clutter in (ants / "._000.jpg", ants / "@eaDir/THUMB.jpg", data / "train/__MACOSX/000.jpg"):
        clutter.parent.mkdir(exist_ok=True)
        clutter.write_bytes((ants / "000.jpg").read_bytes())
    (data / "train/loose.jpg").write_bytes(encoded(photo(108)))
    (ants / "copy.jpg").write_bytes((ants / "000.jpg").read_bytes())
    (bees / "other.jpg").write_bytes((ants / "001.jpg").read_bytes())
    (data / "val/ants/leak.jpg").write_bytes((ants / "002.jpg").read_bytes())
    (ants / "near.jpg").write_bytes(encoded(photo(3, 75, 100)))
    (bees / "near.jpg").write_bytes(encoded(photo(4), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 40))
    (data / "val/ants/near.jpg").write_bytes(encoded(photo(5), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 40))
