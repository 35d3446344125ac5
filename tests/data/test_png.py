"""PNG chunks by hand: transparent gray, wrong checksums, cuts, and damage outside the pixels."""

import numpy as np
import pytest
from support.encoded_images import GRAY, RGB, encode, png, png_chunk

from finetune.data.decode import decode
from finetune.data.png import read_png
from finetune.errors import ImageError

ROW = b"\0" + bytes(range(8))  # a filter byte, then 8 gray pixels


def test_only_the_chunks_of_the_pixels_are_kept() -> None:
    plain = png(8, 1, 8, 0, ROW)
    noted = png(8, 1, 8, 0, ROW, png_chunk(b"tEXt", b"Comment\0words"), png_chunk(b"eXIf", b"MM\0*"))
    assert read_png(noted + b"after the end") == (plain, b"MM\0*", 16, None)
    assert read_png(plain) == (plain, b"", 16, None)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_gray_is_white_at_any_depth(bits: int) -> None:
    """Eight pixels of 1 and 0 in turn; 1, which is dark at 2 to 8 bits, is transparent."""
    packed = int("".join(f"{value:0{bits}b}" for value in [1, 0] * 4), 2).to_bytes(bits, "big")
    data = png(8, 1, bits, 0, b"\0" + packed, png_chunk(b"tRNS", b"\0\1"))
    assert decode(data).image[0, :, 0].tolist() == [255, 0] * 4


def test_transparent_gray_of_16_bits() -> None:
    data = png(2, 1, 16, 0, b"\0" + b"\x12\x34\x12\x35", png_chunk(b"tRNS", b"\x12\x34"))
    assert decode(data).image[0, :, 0].tolist() == [255, 0x12]


def test_transparent_colour_of_16_bits() -> None:
    data = png(2, 1, 16, 2, b"\0" + b"\x12\x34" * 3 + b"\x56\x78" * 3, png_chunk(b"tRNS", b"\x12\x34" * 3))
    assert decode(data).image[0].tolist() == [[255] * 3, [0x56] * 3]


@pytest.mark.parametrize(("content", "bits"), [(b"\x0c", 12), (b"\x0a\x0c\x0b", 12), (b"", 16)])
def test_bits_of_meaning(content: bytes, bits: int) -> None:
    assert read_png(png(8, 1, 8, 0, ROW, png_chunk(b"sBIT", content))).bits == bits


def test_a_palette_that_is_missing() -> None:
    with pytest.raises(ImageError, match=r"^the PNG data is damaged or cut short$"):
        decode(png(8, 1, 8, 3, ROW))


def test_damage_outside_the_pixels_is_harmless() -> None:
    wrong_sum = png_chunk(b"tEXt", b"Comment\0words")[:-1] + b"!"
    no_profile = png_chunk(b"iCCP", b"x\0\0junk")
    assert decode(png(8, 1, 8, 0, ROW, wrong_sum, no_profile)).image[0, :, 0].tolist() == list(range(8))


@pytest.mark.parametrize("kind", ["IHDR", "IDAT", "IEND"])
def test_wrong_checksum(kind: str) -> None:
    data = bytearray(encode(RGB, "PNG"))
    data[data.index(kind.encode()) + (8 if kind != "IEND" else 4)] ^= 1
    with pytest.raises(ImageError, match=rf"^the PNG data is damaged \(wrong checksum in {kind}\)$"):
        decode(bytes(data))


def test_every_cut_is_noticed() -> None:
    data = encode(GRAY, "PNG")
    for length in np.linspace(8, len(data) - 1, 50, dtype=int):
        with pytest.raises(ImageError, match=r"^the PNG is cut short \(no IEND chunk\)$"):
            read_png(data[:length])
