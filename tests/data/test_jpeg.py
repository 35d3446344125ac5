"""JPEGs against OpenCV, which has its own libjpeg: the same pixels, and damage is returned instead of printed."""

import logging
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image
from support.encoded_images import RGB

from finetune.data.decode import decode
from finetune.data.images import read_image
from finetune.data.jpeg import decode_jpeg
from finetune.errors import ImageError

PHOTO = np.asarray(RGB.resize((203, 151), Image.Resampling.BICUBIC))  # sides that are not multiples of 8
OPENCV = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(PHOTO).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


def by_opencv(data: bytes, part: int = 1) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), OPENCV[part] | cv2.IMREAD_IGNORE_ORIENTATION)


def ycck() -> bytes:
    """Return a CMYK file whose Adobe marker says that its colours are stored as YCC."""
    data = jpeg("CMYK")
    at = data.index(b"Adobe") + len(b"Adobe") + 6
    return data[:at] + b"\x02" + data[at + 1 :]


SOUND = {
    "4:4:4": lambda: jpeg(subsampling=0),
    "4:2:2": lambda: jpeg(subsampling=1),
    "4:2:0": lambda: jpeg(subsampling=2),
    "4:1:1": lambda: jpeg(subsampling="4:1:1"),
    "gray": lambda: jpeg("L"),
    "CMYK": lambda: jpeg("CMYK"),
    "YCCK": ycck,
    "stored as RGB": lambda: jpeg(keep_rgb=True),
    "progressive": lambda: jpeg(progressive=True),
    "with restarts": lambda: jpeg(restart_marker_rows=1),
    "bytes behind its end": lambda: jpeg() + b"more",
}


@pytest.mark.parametrize("part", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", SOUND)
def test_the_pixels_are_opencvs(kind: str, part: int) -> None:
    data = SOUND[kind]()
    found = decode_jpeg(data, 203, 151, 151 // part)
    assert found is not None
    assert found.damage == ""
    np.testing.assert_array_equal(found.image, by_opencv(data, part))


def test_only_a_half_a_quarter_or_an_eighth() -> None:
    data = jpeg()
    found = [(needed, decode_jpeg(data, 203, 151, needed)) for needed in (1, 18, 19, 37, 38, 75, 76)]
    heights = {needed: jpeg.image.shape[0] for needed, jpeg in found if jpeg}
    assert heights == {1: 19, 18: 19, 19: 38, 37: 38, 38: 76, 75: 76, 76: 151}


def overwritten(data: bytes, filler: bytes) -> bytes:
    return data[: len(data) // 2] + filler + data[len(data) // 2 + len(filler) :]


DAMAGED = {
    "zeros in the middle": (lambda: overwritten(jpeg(restart_marker_rows=1), bytes(99)), "premature end of data"),
    "ones in the middle": (lambda: overwritten(jpeg(), b"\xff" * 99), "bad Huffman code"),
    "a part missing": (lambda: jpeg()[:2000] + jpeg()[2300:], "premature end of data segment"),
    "cut and closed": (lambda: jpeg()[:2000] + b"\xff\xd9", "premature end of data segment"),
    "progressive, cut and closed": (lambda: jpeg(progressive=True)[:2000] + b"\xff\xd9", "premature end of data"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damage_is_returned_and_not_printed(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, expected = DAMAGED[kind]
    image, damage, _ = decode(make())
    assert image.shape == PHOTO.shape
    assert decode(make(), 19).image.shape == (38, 51, 3)
    assert expected in damage
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(image, by_opencv(make()))


def test_a_damaged_file_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg()[:2000] + b"\xff\xd9")
    with caplog.at_level(logging.WARNING):
        read_image(path)
        read_image(path)
    assert caplog.messages == [
        f"{path} is damaged (premature end of data segment), and the decoder may have guessed pixels; "
        "get the file again"
    ]


def test_a_chroma_subsampling_that_turbojpeg_does_not_know() -> None:
    """Blue at half the height and red at half the width: 4:4:4 with the factors of its frame header changed."""
    exif = Image.Exif()
    exif[0x0112] = 6  # not undone here
    data = bytearray(jpeg(subsampling=0, exif=exif))
    frame = data.index(b"\xff\xc0")
    assert data[frame + 9] == 3
    for component, factors in enumerate((0x22, 0x21, 0x12)):
        data[frame + 11 + 3 * component] = factors
    found = decode_jpeg(bytes(data), 203, 151)
    assert found is not None
    np.testing.assert_array_equal(found.image, by_opencv(bytes(data)))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


JUNK = {
    "after the first segment": (b"\xff\xdb", b"junk!", "5 extraneous bytes before marker 0xdb"),
    "zeros": (b"\xff\xc0", bytes(16), "16 extraneous bytes before marker 0xc0"),
    "an escaped byte": (b"\xff\xdb", b"\xff\0", "2 extraneous bytes before marker 0xdb"),
    "before the Huffman tables": (b"\xff\xc4", b"x", "1 extraneous bytes before marker 0xc4"),
    "before the scan": (b"\xff\xda", b"ab", "2 extraneous bytes before marker 0xda"),
    "a colour profile without its number": (b"\xff\xdb", segment(0xE2, b"ICC_PROFILE\0\0\0"), ""),
}


@pytest.mark.parametrize("part", [1, 2, 4, 8])
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("kind", JUNK)
def test_junk_between_segments(kind: str, mode: str, part: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Every viewer shows such files; they have the pixels of the file without the junk, at reduced size too."""
    before, junk, damage = JUNK[kind]
    sound = jpeg(mode)
    at = sound.index(before)
    found = decode(sound[:at] + junk + sound[at:], 151 // part)
    assert found.damage == damage
    np.testing.assert_array_equal(found.image, decode(sound, 151 // part).image)
    assert capfd.readouterr() == ("", "")


def test_junk_and_a_turn() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sound = jpeg(exif=exif)
    at = sound.index(b"\xff\xdb")
    np.testing.assert_array_equal(decode(sound[:at] + b"junk" + sound[at:]).image, decode(sound).image)


def test_junk_and_pixels_cut_short() -> None:
    cut = jpeg()[:2000] + b"\xff\xd9"
    at = cut.index(b"\xff\xdb")
    found = decode(cut[:at] + b"junk" + cut[at:])
    assert found.damage == "4 extraneous bytes before marker 0xdb"
    np.testing.assert_array_equal(found.image, decode(cut).image)


def test_twelve_bits_are_not_called_damaged() -> None:
    data = bytearray(jpeg())
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(ImageError, match=r"^this kind of JPEG is not supported \(cannot handle 12-bit layers\); conv"):
        decode(bytes(data))


def test_gray_without_loss_is_not_called_damaged() -> None:
    gray = np.asarray(Image.open(BytesIO(jpeg("L"))))
    found = decode(imagecodecs.ljpeg_encode(gray))
    assert found.damage == ""
    np.testing.assert_array_equal(found.image, np.repeat(gray[..., None], 3, axis=2))


def test_a_harmless_fault_of_cameras_is_not_damage() -> None:
    """The end of the spectral selection in the scan's header: 63 for a baseline JPEG; some phones write 0."""
    data = bytearray(jpeg())
    scan = data.index(b"\xff\xda")
    assert data[scan + 12] == 63
    data[scan + 12] = 0
    assert decode_jpeg(bytes(data), 203, 151)[1] == ""
    np.testing.assert_array_equal(decode_jpeg(bytes(data), 203, 151)[0], by_opencv(jpeg()))


def test_an_image_without_all_of_its_pixels_is_refused() -> None:
    """A table after scan 1 is invalid: the rest would be whatever the memory held before."""
    data = jpeg(progressive=True)
    table = data.index(b"\xff\xc4", data.index(b"\xff\xda"))
    broken = data[: table - 3] + data[table : table + 4] + b"\xff" * 17 + data[table + 21 :]
    assert decode_jpeg(broken, 203, 151) is None
