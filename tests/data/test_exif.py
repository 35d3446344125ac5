"""EXIF orientation: blocks written by hand, the eight turns, and damaged blocks."""

import random
import struct
import warnings

import numpy as np
import pytest
from PIL import Image
from support.encoded_images import RGB, encode

from finetune.data.decode import decode
from finetune.data.exif import read_orientation, upright
from finetune.data.header import read_header

# Under test every warning is an error; otherwise the module ignores those of Pillow.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")


def block(order: str, orientation: int, start: bytes = b"Exif\0\0") -> bytes:
    """Return an EXIF block with two tags, the maker's name and the orientation, of type 3: unsigned, 16 bits."""
    head = (b"MM\0*" if order == ">" else b"II*\0") + struct.pack(order + "I", 8)
    maker = struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")
    return (
        start + head + struct.pack(order + "H", 2) + maker + struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_read_orientation(order: str, orientation: int) -> None:
    assert read_orientation(block(order, orientation)) == orientation
    assert read_orientation(block(order, orientation, start=b"")) == orientation, "a PNG has no Exif mark"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_type_long(order: str, orientation: int) -> None:
    """Some phones write 32 bits; in big-endian files the value is in the last two bytes."""
    short = block(order, orientation)
    long = short[:-10] + struct.pack(order + "HII", 4, 1, orientation)
    assert read_orientation(long) == orientation
    assert upright_size(long) == ((48, 32) if orientation < 5 else (32, 48))
    assert read_orientation(short[:-10] + struct.pack(order + "HII", 4, 1, 0x60006)) == 1


def upright_size(exif: bytes) -> tuple[int, int]:
    """Return width and height of the same image with this block in three formats."""
    sizes = {decode(encode(RGB, format, exif=exif)).image.shape[1::-1] for format in ("JPEG", "PNG", "WEBP")}
    (size,) = sizes
    return size


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_values_out_of_range_are_upright(orientation: int) -> None:
    assert read_orientation(block("<", orientation)) == 1


def test_blocks_without_orientation_are_upright() -> None:
    whole = block("<", 6)
    assert read_orientation(b"") == 1
    assert all(read_orientation(whole[:length]) == 1 for length in range(len(whole) - 3))


A, B, C, D, E, F = ([number] * 3 for number in range(1, 7))


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, [[A, B, C], [D, E, F]]),
        (2, [[C, B, A], [F, E, D]]),
        (3, [[F, E, D], [C, B, A]]),
        (4, [[D, E, F], [A, B, C]]),
        (5, [[A, D], [B, E], [C, F]]),
        (6, [[D, A], [E, B], [F, C]]),
        (7, [[F, C], [E, B], [D, A]]),
        (8, [[C, F], [B, E], [A, D]]),
    ],
)
def test_upright_by_hand(orientation: int, expected: list[list[list[int]]]) -> None:
    """Exif 2.3: where row 0 and column 0 are; 6, such as phones write, is to be turned to the right."""
    result = upright(np.array([[A, B, C], [D, E, F]], np.uint8), orientation)
    assert result.tolist() == expected
    assert result.flags.c_contiguous


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_damaged_block_is_harmless(format: str) -> None:
    """The block is overwritten at random; the image can still be decoded, turned or not."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x011A], exif[0x0128] = 6, "Maker", 72.0, 2
    content = exif.tobytes()[6:]
    data = encode(RGB, format, exif=exif.tobytes())
    at, chance = data.index(content), random.Random(0)
    for _ in range(500):
        damaged = bytearray(content)
        for _ in range(chance.choice((1, 2, 5, 20))):
            damaged[chance.randrange(len(damaged))] = chance.choice((0, 1, 255, chance.randrange(256)))
        if format == "PNG":  # its checksum is now wrong, which is harmless too
            assert read_header(data[:at] + damaged + data[at + len(content) :]).format == "PNG"
        else:
            assert decode(data[:at] + damaged + data[at + len(content) :]).image.size == 32 * 48 * 3


@pytest.mark.parametrize("length", [0, 5, 6, 10, 14, 16, 20, 25])
def test_a_cut_block_is_harmless(length: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = encode(RGB, "JPEG", exif=exif.tobytes()[:length])
    assert decode(data).image.shape == (32, 48, 3)
