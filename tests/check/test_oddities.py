"""What is reported about a single image, from measures set by hand."""

from dataclasses import replace
from pathlib import Path

import pytest

from finetune.check.look import ImageLook
from finetune.check.oddities import check_images
from finetune.data.dataset import LabelledFile

SOUND = ImageLook(
    LabelledFile(Path("sound.jpg"), "ants", "train"),
    digest="1",
    format="JPEG",
    width=200,
    height=100,
    colour_model="RGB",
    deviation=40.0,
    main_colour=0.1,
)


def found(*looks: ImageLook) -> list[tuple[str, str]]:
    """Return what is found about images among four sound ones."""
    return [(finding.kind, finding.message) for finding in check_images([SOUND] * 4 + list(looks))]


def named(name: str, **measures: object) -> ImageLook:
    return replace(SOUND, file=LabelledFile(Path(name), "ants", "train"), **measures)  # type: ignore[arg-type]


def test_a_sound_image() -> None:
    assert found(SOUND) == []


def test_no_image_at_all() -> None:
    assert list(check_images([])) == []


def test_an_unreadable_image_has_no_other_finding() -> None:
    broken = ImageLook(LabelledFile(Path("broken.png"), "ants", "train"), "the file is empty")
    assert found(broken) == [("unreadable", "the file is empty")]
    assert next(iter(check_images([broken]))).paths == (Path("broken.png"),)


@pytest.mark.parametrize(
    ("measures", "expected"),
    [
        ({"damage": "premature end of data segment"}, [("damaged", "premature end of data segment")]),
        (
            {"dim": True, "deviation": 1.9, "main_colour": 1.0},
            [("dim", "16-bit values that use less than half of their range")],
        ),
        ({"deviation": 1.9, "main_colour": 1.0}, [("one-colour", "all pixels have the same colour")]),
        ({"deviation": 2.0, "main_colour": 0.9}, [("plain", "90 % of the pixels have the same colour")]),
        ({"main_colour": 0.89}, []),
        ({"width": 24, "height": 40}, [("tiny", "24×40 pixels; the median short side is 100")]),
        ({"width": 25, "height": 40}, []),
        ({"width": 100, "height": 300}, [("narrow", "100×300 pixels; the centre crop drops 67 %")]),
        ({"width": 299, "height": 100}, []),
        ({"colour_model": "gray"}, [("colour-model", "gray; most are RGB")]),
        ({"colour_model": "gray", "main_colour": 0.95}, [("plain", "95 % of the pixels have the same colour")]),
        ({"orientation": 6}, [("exif-turn", "orientation 6")]),
        ({"format": "PNG"}, [("wrong-extension", "a PNG file with extension .jpg")]),
    ],
)
def test_each_fault(measures: dict[str, object], expected: list[tuple[str, str]]) -> None:
    assert found(named("sound.jpg", **measures)) == expected


def test_tiny_means_tiny_in_pixels_and_among_the_others() -> None:
    """Short sides of 63 and 64 among 1,000 pixels, and digits of 28 among digits of 28."""
    large = [replace(SOUND, width=1000, height=1000)] * 4
    assert [f.kind for f in check_images([*large, replace(SOUND, width=63, height=63)])] == ["tiny"]
    assert list(check_images([*large, replace(SOUND, width=64, height=64)])) == []
    assert list(check_images([replace(SOUND, width=28, height=28)] * 5)) == []


def test_extensions() -> None:
    assert found(named("x.JPE"), named("x.tif", format="TIFF"), named("x.dib", format="BMP")) == []
    assert found(named("x")) == [("wrong-extension", "a JPEG file with no extension")]


def test_an_image_within_an_idx_file_needs_no_extension(tmp_path: Path) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").touch()
    assert found(named(str(tmp_path / "t10k-images-idx3-ubyte#3"), format="BMP")) == []
