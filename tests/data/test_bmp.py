"""BMPs of all versions: bit fields, padding, palettes with three bytes, few bits, runs; colours by hand."""

import struct

import numpy as np
import pytest
from support.bmp_files import MASKS_555, MASKS_565, USUAL_MASKS, bmp, packed
from support.encoded_images import RGB, RGBA, assert_decodes, over_white

from finetune.data.decode import decode
from finetune.errors import ImageError

PIXELS = np.asarray(RGB)
WITHOUT_ALPHA = packed(*np.moveaxis(PIXELS, 2, 0))
PADDING = {"zeros": 0, "ones": 0xFF000000, "half": 0x80000000}


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize(("header", "masks"), [(40, USUAL_MASKS), (52, USUAL_MASKS), (56, USUAL_MASKS), (40, ())])
def test_a_fourth_byte_that_no_mask_names_is_padding(header: int, masks: tuple[int, ...], padding: str) -> None:
    """As Windows writes it to the clipboard; whatever the byte holds, it is not transparency."""
    rows = WITHOUT_ALPHA | PADDING[padding]
    assert_decodes(bmp(rows, 32, header=header, compression=3 if masks else 0, masks=masks), RGB)


@pytest.mark.parametrize("header", [40, 52, 56, 108, 124])
def test_red_in_the_top_byte(header: int) -> None:
    masks = (0xFF000000, 0xFF0000, 0xFF00, 0)[: 3 if header in (40, 52) else 4]
    assert_decodes(bmp(WITHOUT_ALPHA << 8, 32, header=header, compression=3, masks=masks), RGB)


@pytest.mark.parametrize("header", [56, 108, 124])
def test_alpha_by_mask(header: int) -> None:
    masks = (*USUAL_MASKS, 0xFF000000)
    opacity = np.asarray(RGBA)[..., 3].astype(np.uint32)
    data = bmp(WITHOUT_ALPHA | opacity << 24, 32, header=header, compression=3, masks=masks)
    assert_decodes(data, over_white(RGBA))
    assert_decodes(bmp(WITHOUT_ALPHA, 32, header=header, compression=3, masks=masks), RGB)


RARE_MASKS = {
    "red in the lowest byte": (32, (0xFF, 0xFF00, 0xFF0000, 0)),
    "bmpsuite's rgb32bf": (32, (0xFF000000, 0xFF0, 0xFF0000, 0)),
    "bmpsuite's rgb32-111110": (32, (0xFFE00000, 0x1FFC00, 0x3FF, 0)),
    "bmpsuite's rgba32-61754": (32, (0xFC00000, 0x3FFFE0, 0x1F, 0xF0000000)),
    "green only": (32, (0, 0xFF, 0, 0)),
    "four each": (16, (0xF00, 0xF0, 0xF, 0)),
    "four each and transparency": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "blue above red": (16, (0x1F, 0x7E0, 0xF800, 0)),
}


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("kind", RARE_MASKS)
def test_rare_masks(kind: str, down: bool) -> None:
    """Random bits under every mask; a value is 255 if all of its bits are set, and 0 if it has none."""
    bits, masks = RARE_MASKS[kind]
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 1 << bits, (5, 7), np.uint64).astype(f"u{bits // 8}")
    data = bytearray(bmp(rows, bits, header=108, compression=3, masks=masks))
    if down:
        data = bytearray(bmp(rows[::-1], bits, header=108, compression=3, masks=masks))
        data[22:26] = (-5).to_bytes(4, "little", signed=True)
    exact = [
        np.zeros(rows.shape) if not mask else (rows.astype(np.int64) & mask) / mask * 255 for mask in map(int, masks)
    ]
    # The bits below a mask's are 0 in the product, so that the quotient is that of the shifted values.
    opacity = exact[3] / 255 if masks[3] else np.ones(rows.shape)
    expected = [channel * opacity + 255 * (1 - opacity) for channel in exact[:3]]
    assert_decodes(bytes(data), np.round(np.dstack(expected)), tolerance=2)


def test_rare_masks_after_a_short_header() -> None:
    rows = packed(*np.moveaxis(PIXELS[..., ::-1], 2, 0))
    assert_decodes(bmp(rows, 32, compression=3, masks=(0xFF, 0xFF00, 0xFF0000)), RGB)
    opaque = bmp(rows | 0xFF000000, 32, compression=6, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000))
    assert_decodes(opaque, RGB)


def test_rare_masks_cut_short() -> None:
    data = bmp(WITHOUT_ALPHA, 32, compression=3, masks=(0xFF, 0xFF00, 0xFF0000))
    with pytest.raises(ImageError, match=r"^the BMP data is damaged or cut short$"):
        decode(data[:-5])
    for at, value in ((18, 0), (22, 0), (18, 2**31 - 1), (22, -(2**31))):  # no width, no height, and far too much
        with pytest.raises(ImageError):
            decode(data[:at] + struct.pack("<i", value) + data[at + 4 :])


@pytest.mark.parametrize("header", [40, 52, 56, 108])
@pytest.mark.parametrize(("masks", "bits"), [(MASKS_565, (5, 6, 5)), (MASKS_555, (5, 5, 5))])
def test_16_bits(header: int, masks: tuple[int, ...], bits: tuple[int, ...]) -> None:
    """Five bits become eight as 255 · value / 31: white stays white."""
    red, green, blue = (PIXELS[..., i].astype(np.uint16) >> 8 - bits[i] for i in range(3))
    rows = red << bits[1] + bits[2] | green << bits[2] | blue
    expected = [np.round(c * 255 / (2**b - 1)) for c, b in zip((red, green, blue), bits, strict=True)]
    assert_decodes(bmp(rows, 16, header=header, compression=3, masks=masks), np.dstack(expected), tolerance=1)


def test_16_bits_without_masks_are_five_each() -> None:
    assert_decodes(bmp(np.array([[0x7C00, 0x03E0]], np.uint16), 16), [[[255, 0, 0], [0, 255, 0]]])


@pytest.mark.parametrize("header", [12, 40, 64, 108])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palettes(header: int, bits: int) -> None:
    """OS/2 stores three bytes per colour, Windows four; 16 pixels in a row."""
    colors = np.random.default_rng(bits).integers(0, 256, (2**bits, 3), np.uint8)
    values = np.arange(32).reshape(2, 16) % 2**bits
    rows = np.array([list(pack(row.tolist(), bits)) for row in values], np.uint8)
    table = colors[:, ::-1] if header == 12 else np.insert(colors[:, ::-1], 3, 0, axis=1)
    assert_decodes(bmp(rows, bits, width=16, header=header, palette=table.tobytes()), colors[values])


def pack(values: list[int], bits: int) -> bytes:
    return int("".join(f"{value:0{bits}b}" for value in values), 2).to_bytes(len(values) * bits // 8, "big")


def test_runs() -> None:
    """Three of colour 1; end of row; absolute: 2, 1, 2 and padding; end of image. The lowest row is first."""
    colors = bytes([0, 0, 0, 0, 10, 20, 200, 0, 250, 99, 0, 0])
    runs = bytes([3, 1, 0, 0, 0, 3, 2, 1, 2, 0, 0, 1])
    data = bmp(np.zeros((2, 3), np.uint8), 8, compression=1, palette=colors, body=runs)
    red, blue = [200, 20, 10], [0, 99, 250]
    assert_decodes(data, [[blue, red, blue], [red, red, red]])
    with pytest.raises(ImageError, match=r"^the BMP data is damaged or cut short$"):
        decode(data[:-6])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bmp(WITHOUT_ALPHA, 32, compression=3, masks=(0xF0F, 0xF0F0, 0xFF0000)), "Unsupported BMP bitfields layout"),
        (bmp(WITHOUT_ALPHA, 32, compression=5), r"Unsupported BMP compression \(5\)"),
        (bmp(np.zeros((1, 4), np.uint8), 2), r"Unsupported BMP pixel depth \(2\)"),
        (bmp(WITHOUT_ALPHA, 32, header=44), r"Unsupported BMP header type \(44\)"),
    ],
    ids=["masks", "compression", "depth", "header"],
)
def test_rare_kinds_are_not_called_damaged(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=rf"^this kind of BMP is not supported \({reason}\); convert the image$"):
        decode(data)
