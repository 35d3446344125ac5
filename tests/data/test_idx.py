"""IDX files by hand: single images, damaged and hostile files, and how often a file is opened."""

import gzip
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.encoded_images import GRAY, encode, idx

from finetune.data import idx as idx_module
from finetune.data.header import read_header
from finetune.data.idx import image_bytes, read_idx, read_images
from finetune.data.images import read_bytes, read_image
from finetune.errors import ImageError

# Two images of 2 × 3 pixels, by hand: magic 0x00000803, the sizes, the pixels row by row.
TWO = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes([0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 254, 255])
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([7, 0, 9])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_images_by_hand(tmp_path: Path, zipped: bool) -> None:
    images = write(tmp_path / "train-images-idx3-ubyte", gzip.compress(TWO) if zipped else TWO)
    assert read_idx(images, 3).tolist() == [[[0, 1, 2], [3, 4, 5]], [[250, 251, 252], [253, 254, 255]]]
    second = read_image(tmp_path / "train-images-idx3-ubyte#1")
    assert second.tolist() == [[[250] * 3, [251] * 3, [252] * 3], [[253] * 3, [254] * 3, [255] * 3]]


def test_labels_by_hand(tmp_path: Path) -> None:
    assert read_idx(write(tmp_path / "labels", LABELS), 1).tolist() == [7, 0, 9]
    assert read_idx(write(tmp_path / "labels.gz", gzip.compress(LABELS)), 1).tolist() == [7, 0, 9]


@pytest.mark.parametrize("shape", [(1, 1), (28, 28), (3, 5), (33, 2)])
def test_no_pixel_changes(tmp_path: Path, shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, *shape), np.uint8)
    write(tmp_path / "digits", idx(pixels))
    for number, expected in enumerate(pixels):
        np.testing.assert_array_equal(
            read_image(tmp_path / f"digits#{number}"), np.repeat(expected[..., None], 3, axis=2)
        )


def test_each_image_has_its_own_bytes(tmp_path: Path) -> None:
    write(tmp_path / "digits", TWO)
    first, second = (read_bytes(tmp_path / f"digits#{number}") for number in (0, 1))
    assert first != second
    assert read_header(first)[:3] == ("BMP", 3, 2)
    assert read_bytes(tmp_path / "digits#00") == first
    assert len(first) == 54 + 2 * 12  # a BMP has no options: every OpenCV gives the same digest


def test_a_file_of_that_very_name_wins(tmp_path: Path) -> None:
    write(tmp_path / "digits", TWO)
    write(tmp_path / "digits#1", encode(GRAY, "PNG"))
    assert read_header(read_bytes(tmp_path / "digits#1"))[:3] == ("PNG", 48, 32)


@pytest.mark.parametrize(
    "name", ["digits#", "#1", "digits#x", "digits#-1", "nothing#1", "digits#²", "digits#" + "1" * 300]
)
def test_other_names_are_files_that_are_missing(tmp_path: Path, name: str) -> None:
    write(tmp_path / "digits", TWO)
    with pytest.raises(ImageError, match=r"^cannot be opened \((No such file or directory|File name too long)\)$"):
        read_bytes(tmp_path / name)


def test_number_out_of_range(tmp_path: Path) -> None:
    write(tmp_path / "digits", TWO)
    with pytest.raises(ImageError, match=r"^image 2 does not exist: the file has 2, counted from 0$"):
        read_bytes(tmp_path / "digits#2")
    with pytest.raises(ImageError, match=r"^cannot be opened \(No such file or directory\)$"):
        image_bytes(tmp_path / "nothing", 0)


MALFORMED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not an IDX file of images: expected it to begin with 00000803, found nothing"),
    "labels": (LABELS, "not an IDX file of images: expected it to begin with 00000803, found 00000801"),
    "little-endian": (
        b"\3\x08\0\0" + TWO[4:], "not an IDX file of images: expected it to begin with 00000803, found 03080000",
    ),
    "another image": (
        encode(GRAY, "PNG"), "not an IDX file of images: expected it to begin with 00000803, found 89504e47",
    ),
    "header cut": (TWO[:11], "the IDX header is cut short; get the file again"),
    "cut": (TWO[:-1], "the IDX header says 2×2×3 bytes, but the file is cut short; get it again"),
    "too long": (TWO + b"x", "the IDX header says 2×2×3 bytes, but the file has more; get it again"),
    "no images": (
        TWO[:4] + bytes(4) + TWO[8:16], "the IDX header says 0×2×3 bytes, so the file holds nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_files(tmp_path: Path, kind: str, zipped: bool) -> None:
    content, message = MALFORMED[kind]
    write(tmp_path / "digits", gzip.compress(content) if zipped else content)
    with pytest.raises(ImageError) as caught:
        read_bytes(tmp_path / "digits#0")
    assert str(caught.value) == message


def test_every_cut_of_a_gz_file(tmp_path: Path) -> None:
    whole = gzip.compress(TWO)
    for length in range(2, len(whole)):
        with pytest.raises(ImageError, match=r"^the gzip data is damaged or cut short; get the file again$"):
            read_idx(write(tmp_path / "digits.gz", whole[:length]), 3)


def test_damaged_gz(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(TWO))
    damaged[20] ^= 255
    with pytest.raises(ImageError, match=r"^the gzip data is damaged"):
        read_idx(write(tmp_path / "digits.gz", bytes(damaged)), 3)


def peak(function: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def huge(count: int) -> bytes:
    return TWO[:4] + count.to_bytes(4, "big") + (2**10).to_bytes(4, "big") * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            huge(1024) + bytes(100),
            "the IDX header says 1024×1024×1024 bytes, but the file is cut short; get it again",
        ),
        (
            huge(1025) + bytes(100),
            "the IDX header says 1025×1024×1024 bytes, more than the limit of 1 GB for a compressed file; "
            "decompress it first",
        ),
        (TWO + bytes(2**26), "the IDX header says 2×2×3 bytes, but the file has more; get it again"),
    ],
    ids=["header of 1 GB", "header of more", "64 MB behind the images"],
)
def test_memory_for_hostile_gz_files(tmp_path: Path, content: bytes, message: str) -> None:
    """Neither the header nor the compressed data is trusted alone: 4 MB are enough to find out."""
    write(tmp_path / "digits.gz", gzip.compress(content))

    def read() -> None:
        with pytest.raises(ImageError) as caught:
            read_idx(tmp_path / "digits.gz", 3)
        assert str(caught.value) == message

    assert peak(read) < 4 * 2**20


def test_plain_files_are_mapped(tmp_path: Path) -> None:
    write(tmp_path / "digits", idx(np.zeros((20_000, 28, 28), np.uint8)))  # 16 MB
    assert peak(lambda: read_bytes(tmp_path / "digits#19999")) < 2**20


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were opened and, if compressed, decompressed."""
    paths: list[Path] = []

    def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
        paths.append(path)
        return read_idx(path, dimensions)

    monkeypatch.setattr(idx_module, "read_idx", read)
    return paths


@pytest.mark.parametrize("content", [TWO, TWO[:-1]], ids=["whole", "damaged"])
def test_a_file_is_opened_once_until_it_changes(tmp_path: Path, opened: list[Path], content: bytes) -> None:
    digits = write(tmp_path / "digits.gz", gzip.compress(content))

    def read(number: int) -> int:
        try:
            return len(read_bytes(tmp_path / f"digits.gz#{number % 2}"))
        except ImageError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read, range(200)))) == 1
    assert opened == [digits]
    write(digits, gzip.compress(idx(np.zeros((2, 5, 5), np.uint8))))
    assert read_images(digits).shape == (2, 5, 5)
    assert opened == [digits] * 2
