"""Damaged, cut and hostile image files: an ImageError or the whole image, little memory, nothing printed."""

import random
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.bmp_files import bmp
from support.encoded_images import PALETTE, RGB, RGBA, blocks, encode, png, tiff

from finetune.data.decode import decode
from finetune.errors import ImageError

# Under test every warning is an error; otherwise the module ignores those of Pillow.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

DEEP = blocks(3).astype(np.uint16) * 257
LATER = [Image.fromarray(blocks(3, seed)) for seed in (1, 2)]
FILES = {
    "JPEG": encode(RGB, "JPEG"),
    "progressive JPEG": encode(RGB, "JPEG", progressive=True),
    "PNG": encode(RGBA, "PNG"),
    "palette PNG": encode(PALETTE, "PNG"),
    "GIF": encode(RGB, "GIF"),
    "animated GIF": encode(RGB, "GIF", save_all=True, append_images=LATER),
    "lossless WebP": encode(RGBA, "WEBP"),
    "lossy WebP": encode(RGB, "WEBP", lossless=False),
    "animated WebP": encode(RGB, "WEBP", save_all=True, append_images=LATER),
    "BMP": encode(RGB, "BMP"),
    "palette BMP": encode(PALETTE, "BMP"),
    "TIFF": encode(RGB, "TIFF"),
    "TIFF by hand": tiff(blocks(4), 2, extra=2),
    "LZW TIFF": encode(RGB, "TIFF", compression="tiff_lzw"),
    "deflated TIFF": encode(RGB, "TIFF", compression="tiff_deflate"),
    "JPEG in TIFF": encode(RGB, "TIFF", compression="jpeg"),
    "16-bit PNG": cv2.imencode(".png", DEEP)[1].tobytes(),
    "BMP with masks": bmp(np.zeros((9, 9), np.uint32), 32, compression=3, masks=(0xFF0000, 0xFF00, 0xFF)),
    "PPM": encode(RGB, "PPM"),
    "16-bit PGM": b"P5 48 32 65535\n" + DEEP[..., 0].astype(">u2").tobytes(),
    "12-bit PGM": b"P5 48 32 4095\n" + (DEEP[..., 0] >> 4).astype(">u2").tobytes(),
    "plain PPM": b"P3 48 32 255\n" + " ".join(map(str, blocks(3).ravel())).encode() + b"\n",
    "JPEG 2000": encode(RGB, "JPEG2000"),
    "JPEG 2000 without boxes": encode(RGB, "JPEG2000", no_jp2=True),
    "JPEG 2000 in tiles": encode(RGB, "JPEG2000", tile_size=(16, 16)),
    "AVIF": encode(RGB, "AVIF"),
    "AVIF with alpha": encode(RGBA, "AVIF"),
}


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "the file is empty"),
    (b"<html></html>", "not an image: expected JPEG, .*, JPEG 2000, AVIF, HEIF; the file begins with b'<html></'"),
    (b"RIFF\0\0\0\0WAVEfmt ", "not an image: expected .*"),
    (b"%PDF-1.7", "not an image: expected .*"),
    (b"\xff\xd8\xff", "the JPEG header is damaged .*"),
    (b"BM", "the BMP header is damaged .*"),
    (b"GIF89a", "the GIF header is damaged .*"),
    (b"II*\0", "the TIFF header is damaged .*"),
    (b"RIFF\0\0\0\0WEBP", "the WebP header is damaged .*"),
    (b"\x89PNG\r\n\x1a\n", r"the PNG is cut short \(no IEND chunk\)"),
    (png(0, 8, 8, 0, b""), "the PNG header is damaged .*"),
    (png(8, 8, 8, 1, bytes(72)), "the PNG header is damaged .*"),  # colour type 1 does not exist
])  # fmt: skip
def test_not_an_image(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=f"^{reason}$"):
        decode(data)


@pytest.mark.parametrize("kind", FILES)
def test_a_cut_file_is_refused(kind: str) -> None:
    """Wherever the cut is, the result is an error or the whole image, never a part of it."""
    data = FILES[kind]
    whole, refused = decode(data).image, 0
    lengths = [*range(1, min(len(data), 64)), *np.linspace(64, len(data) - 1, 60, dtype=int).tolist()]
    for length in lengths:
        try:
            np.testing.assert_array_equal(decode(data[:length]).image, whole)
        except ImageError:
            refused += 1
    assert refused >= len(lengths) // 2 if kind == "animated GIF" else len(lengths) - 2  # its first frame is enough


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_damage_raises_nothing_but_image_errors(data: bytes) -> None:
    chance = random.Random(0)
    for _ in range(150):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 3, 10))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with suppress(ImageError):
            assert decode(bytes(damaged)).image.shape[2] == 3


def patched(data: bytes, at: int, form: str, *values: int) -> bytes:
    """Return the data with `values` written over it."""
    mutable = bytearray(data)
    struct.pack_into(form, mutable, at, *values)
    return bytes(mutable)


def huge(format: str, width: int, height: int) -> bytes:
    """Return a small file whose header claims that size."""
    match format:
        case "PNG":
            return png(width, height, 8, 2, bytes(100))
        case "JPEG":  # start of frame: marker, length, bits, height, width
            return patched(FILES["JPEG"], FILES["JPEG"].index(b"\xff\xc0") + 5, ">HH", height, width)
        case "GIF":
            return patched(FILES["GIF"], 6, "<HH", width, height)
        case "BMP":
            return patched(FILES["BMP"], 18, "<ii", width, height)
        case "WebP":  # a VP8X chunk: flags, then width - 1 and height - 1 of 24 bits
            data = encode(RGBA, "WEBP", exif=b"Exif\0\0", save_all=True, append_images=LATER)
            assert data[12:16] == b"VP8X"
            return data[:24] + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little") + data[30:]
        case "PNM":
            return b"P6 %d %d 255\n" % (width, height) + bytes(100)
        case "JPEG 2000":  # the code stream's size; its box repeats height and width
            data = patched(FILES["JPEG 2000"], FILES["JPEG 2000"].index(b"\xffQ") + 6, ">II", width, height)
            return patched(data, data.index(b"ihdr") + 4, ">II", height, width)
        case "AVIF":
            return patched(FILES["AVIF"], FILES["AVIF"].index(b"ispe") + 8, ">II", width, height)
        case _:
            return tiff_of(width, height)


def tiff_of(width: int, height: int) -> bytes:
    data = tiff(blocks(3), 2)
    for tag, value in ((256, width), (257, height)):
        data = patched(data, data.index(struct.pack("<HHI", tag, 4, 1)) + 8, "<I", value)
    return data


@pytest.mark.parametrize(("width", "height"), [(20_000, 20_000), (60_000, 1_700), (16_383, 16_383)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PNM", "JPEG 2000", "AVIF"])
def test_over_100_megapixels_are_refused_by_the_header(format: str, width: int, height: int) -> None:
    data = huge(format, width, height)
    tracemalloc.start()
    started = time.process_time()
    own_limit = "|^the AVIF header is damaged " if format == "AVIF" else ""  # of the library below Pillow
    with pytest.raises(ImageError, match=rf"more (pixels )?than the limit of 100 megapixels; shrink it${own_limit}"):
        decode(data)
    assert time.process_time() - started < 0.5  # of the processor, whatever else it does
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_nothing_is_printed(tmp_path: Path) -> None:
    """In a separate process, with Python's own filters for warnings, to see what C libraries print."""
    # libtiff prints a line about a JPEG in TIFF, and the first frame of an animation may be whole.
    files = [data for kind, data in FILES.items() if kind not in ("JPEG in TIFF", "animated GIF")]
    for number, data in enumerate(files):
        for share in (0.02, 0.3, 0.6, 0.9, 0.99):
            (tmp_path / f"{number}-{share}").write_bytes(data[: int(len(data) * share)])
    (tmp_path / "profile.png").write_bytes(encode(RGB, "PNG", icc_profile=b"no profile"))
    (tmp_path / "flipped.png").write_bytes(FILES["PNG"][:-30] + b"?" * 10 + FILES["PNG"][-20:])
    script = (
        "import sys, pathlib\n"
        "from finetune.data.decode import decode\n"
        "from finetune.errors import ImageError\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try: decode(path.read_bytes())\n"
        "    except ImageError: print(path.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert len(done.stdout.split()) == 5 * len(files) + 1
