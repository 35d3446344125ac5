"""What people complained of in public about similar programs, tried here; tests/README.md has the threads.

Every test makes the input of the complaint, and uses a command or what the commands are made of.
"""

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import Finetune
from PIL import Image
from support.encoded_images import RGB, RGBA, encode
from support.pytorch_files import described_state, state_dict, written, zipped

from finetune.check.check import check
from finetune.data.decode import decode
from finetune.data.images import read_image
from finetune.data.read_data import labelled_files, read_data
from finetune.errors import DataError
from finetune.formats.read_weights import read_weights

PIXELS = np.asarray(RGB)


@pytest.fixture
def data(image_folder: Callable[..., Path]) -> Path:
    return image_folder(stripes=6, dots=6)


def rgb(image: bytes) -> np.ndarray:
    return decode(image).image[..., ::-1]


def test_a_notebooks_hidden_folder_is_no_class(data: Path) -> None:
    """pytorch/vision#2831, tensorflow#46595: .ipynb_checkpoints became a class and shifted the others."""
    for folder in (data, data / "dots"):
        (folder / ".ipynb_checkpoints").mkdir()
        (folder / ".ipynb_checkpoints" / "0-checkpoint.png").write_bytes((data / "dots" / "0.png").read_bytes())
    for clutter in (".DS_Store", "Thumbs.db", "dots/Thumbs.db", "dots/._0.png"):
        (data / clutter).write_bytes(b"\0\5\x16\7")
    dataset = read_data(data)
    assert dataset.class_names == ("dots", "stripes")
    assert (len(dataset.records), dataset.skipped) == (12, ())
    assert not check(data).of("not-an-image")


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_split_without_one_of_the_classes(finetune: Finetune, tmp_path: Path, tiny_weights: Path) -> None:
    """ultralytics#13936: with the folders 0, 90, 270 and none of 180, images of 270 counted as 180."""
    generator = np.random.default_rng(0)
    for split, angles in {"train": (0, 90, 180, 270), "test": (0, 90, 270)}.items():
        for angle in angles:
            (tmp_path / "data" / split / str(angle)).mkdir(parents=True)
            for number in range(3):
                image = np.full((64, 64, 3), angle * 255 // 270, np.uint8) ^ generator.integers(0, 4, 3, np.uint8)
                cv2.imwrite(str(tmp_path / "data" / split / str(angle) / f"{number}.png"), image)
    run = tmp_path / "run"
    assert finetune("train", "--data", tmp_path / "data", "--weights", tiny_weights, "--out", run)[0] == 0
    assert (run / "classes.txt").read_text().split() == ["0", "90", "180", "270"]
    code, out, _ = finetune("evaluate", run, "--data", tmp_path / "data", "--split", "test", "--json")
    assert code == 0
    found = json.loads(out)
    assert [metrics["label"] for metrics in found["per_class"]] == ["0", "90", "180", "270"]
    assert [sum(row) for row in found["confusion"]] == [3, 3, 0, 3]


def test_one_bad_file_does_not_stop_the_others(data: Path) -> None:
    """keras#19026, keras#16880: an error page saved as .jpg, half a download, an empty file."""
    (data / "dots" / "page.jpg").write_bytes(b"<html><body>404</body></html>")
    (data / "dots" / "half.png").write_bytes((data / "dots" / "0.png").read_bytes()[:500])
    (data / "dots" / "empty.jpg").touch()
    dataset = read_data(data)
    assert len(dataset.records) == 12
    assert [(skipped.path.name, skipped.reason[:18]) for skipped in dataset.skipped] == [
        ("empty.jpg", "the file is empty"),
        ("half.png", "the PNG is cut sho"),
        ("page.jpg", "not an image: expe"),
    ]


def test_gray_of_16_bits_is_not_white() -> None:
    """pytorch/vision#2218, pytorch#20524: every 16-bit PNG became white, or values of 0 and 1."""
    gray = PIXELS[..., 0].astype(np.uint16) * 257
    for form in (".png", ".tiff"):
        np.testing.assert_array_equal(rgb(cv2.imencode(form, gray)[1].tobytes())[..., 1], PIXELS[..., 0])


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_csv_with_another_delimiter(data: Path, delimiter: str) -> None:
    """fastai#2236, steinbock#28: Excel writes semicolons in many countries."""
    lines = [f"{path.relative_to(data)}{delimiter}{path.parent.name}" for path in sorted(data.rglob("*.png"))]
    (data / "labels.csv").write_text("\r\n".join([f"path{delimiter}label", *lines]))
    assert [record.label for record in read_data(data / "labels.csv").records] == [0] * 6 + [1] * 6


@pytest.mark.parametrize("form", ["{path} {label} ", '"{path}" {label}', "{path}   {label}"])
def test_blanks_in_the_names_of_a_list(data: Path, form: str) -> None:
    """BVLC/caffe#1951, #1935, #5255: two weeks lost to a blank in a name, or after the label."""
    lines = []
    for path in sorted(data.rglob("*.png")):
        path.rename(path.with_name(f"my {path.name}"))
        lines.append(form.format(path=f"{path.parent.name}/my {path.name}", label=path.parent.name == "dots") + "\n")
    (data / "train.txt").write_text("".join(lines))
    dataset = read_data(data / "train.txt")
    assert (len(dataset.records), dataset.skipped, dataset.class_names) == (12, (), ("False", "True"))


def test_the_home_in_a_list(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA/DIGITS#79: `~/data/train/10_left.jpeg 1` in every line, and “no images added”."""
    monkeypatch.setenv("HOME", str(data))
    lines = [f"~/{path.relative_to(data)} {path.parent.name}\n" for path in sorted(data.rglob("*.png"))]
    (data / "train.txt").write_text("".join(lines))
    assert len(read_data(data / "train.txt").records) == 12


def test_paths_of_windows_in_a_list(data: Path) -> None:
    """niuzhiheng/caffe#15: backslashes, and a drive that does not exist here, which is said of every line."""
    names = [path.relative_to(data) for path in sorted(data.rglob("*.png"))]
    (data / "train.txt").write_text("".join(f"{str(name).replace('/', chr(92))} {name.parent}\n" for name in names))
    assert len(read_data(data / "train.txt").records) == 12
    (data / "train.txt").write_text("".join(f"F:\\cnn training\\{name.name} {name.parent}\n" for name in names))
    with pytest.raises(DataError, match=r"^no readable image was found; 12 skipped, the first: .*: cannot be opened"):
        read_data(data / "train.txt")


@pytest.mark.parametrize("form", ["BMP", "GIF", "PNG", "WEBP", "TIFF"])
def test_a_file_with_the_name_of_another_format(data: Path, form: str) -> None:
    """tensorflow#38901, tensorflow/models#2194: BMPs, PNGs and GIFs called .jpg, as in Oxford's pets."""
    (data / "dots" / "0.png").unlink()
    (data / "dots" / "0.jpg").write_bytes(encode(RGB.quantize(64) if form == "GIF" else RGB, form))
    assert len(read_data(data).records) == 12
    assert np.abs(read_image(data / "dots" / "0.jpg")[..., ::-1].astype(int) - PIXELS).mean() < 6
    assert check(data).of("wrong-extension")[0].message == f"a {form.replace('WEBP', 'WebP')} file with extension .jpg"


def test_what_is_transparent_is_white() -> None:
    """NVIDIA/DIGITS#85, google/deepdream#25: a digit on a transparent ground got a black one."""
    pixels = np.array(RGBA)
    pixels[..., :3][pixels[..., 3] == 0] = 0
    found = rgb(encode(Image.fromarray(pixels), "PNG"))
    assert (found[pixels[..., 3] == 0] == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_images_that_are_turned_by_exif_only(form: str) -> None:
    """kohya-ss/sd-scripts#1316, pytorch/vision#7977: Windows and phones turn photos in this way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if form == "TIFF" else {"exif": exif.tobytes()}
    found = rgb(encode(RGB, form, **options))
    assert found.shape == (48, 32, 3)
    assert np.abs(found.astype(int) - np.rot90(PIXELS, -1)).mean() < 3


def test_an_animation_is_its_first_frame() -> None:
    """tensorflow#8572: a GIF had four dimensions, and the example of labelling failed."""
    stream = BytesIO()
    frame = RGB.quantize(64)
    frame.save(stream, "GIF", save_all=True, append_images=[frame.rotate(180)])
    np.testing.assert_array_equal(rgb(stream.getvalue()), np.asarray(frame.convert("RGB")))


def test_cmyk_jpegs_have_their_colours() -> None:
    """vlfeat/matconvnet#91: about 20 such images in ImageNet were read with four channels, or inverted."""
    found = rgb(encode(RGB.convert("CMYK"), "JPEG", quality=98))
    assert np.abs(found.astype(int) - PIXELS).mean() < 3


def test_a_checkpoint_of_lightning(tmp_path: Path) -> None:
    """pytorch-lightning#3629: `Unexpected key(s) in state_dict`, for the prefix that the module adds."""
    state = state_dict()
    named = {f"model.{name}": tensor for name, tensor in state.items()}
    file = read_weights(written(tmp_path / "last.ckpt", zipped(*described_state(named))))
    assert file.layers() == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]
    np.testing.assert_array_equal(file.tensors["fc8/kernel"], state["classifier.6.weight"].T)


@pytest.mark.parametrize("entry", [dict, list])
def test_the_dictionaries_of_caffe_tensorflow(entry: type, tmp_path: Path) -> None:
    """guerzh/tf_weights#1: net_data["conv1"][0] fails for the converter's newer files, which have names."""
    kernel, bias = np.ones((3, 3, 3, 5), np.float32), np.zeros(5, np.float32)
    conv1 = {"weights": kernel, "biases": bias} if entry is dict else [kernel, bias]
    np.save(tmp_path / "alexnet.npy", {"conv1": conv1}, allow_pickle=True)  # type: ignore[arg-type]
    assert read_weights(tmp_path / "alexnet.npy").tensors["conv1/bias"].shape == (5,)


def test_a_list_of_files_that_were_moved(data: Path, finetune: Finetune, tiny_weights: Path) -> None:
    """fastai#894: one name without a file ended the training, hours later."""
    lines = [f"{path.relative_to(data)},{path.parent.name}" for path in sorted(data.rglob("*.png"))]
    (data / "labels.csv").write_text("\n".join(["path,label", *lines]))
    (data / "dots" / "0.png").rename(data / "0.moved")
    assert [(skipped.path.name, skipped.reason) for skipped in read_data(data / "labels.csv").skipped] == [
        ("0.png", "cannot be opened (No such file or directory)")
    ]
    assert len(labelled_files(data / "labels.csv")) == 12
    code, out, _ = finetune("predict", data / "labels.csv", "--model", tiny_weights, "--json")
    rows = list(map(json.loads, out.splitlines()))
    assert (code, len(rows), sum("error" in row for row in rows)) == (3, 12, 1)


def test_a_class_whose_name_is_a_blank(data: Path) -> None:
    """NVIDIA/DIGITS#836: the categories `_` and a blank were dropped from the validation images only."""
    (data / "stripes").rename(data / "_")
    assert read_data(data).class_names == ("_", "dots")
    (data / "_").rename(data / " ")
    with pytest.raises(DataError, match=r"has a class without a name, ' '; rename it$"):
        read_data(data)


def test_extensions_in_upper_case(data: Path, finetune: Finetune, tiny_weights: Path) -> None:
    """replicate/lora-training#9, anomalib#3058: IMG_6003.JPG of a phone was “no images found”."""
    for path in sorted(data.rglob("*.png")):
        path.rename(path.with_suffix(".PNG"))
    assert len(read_data(data).records) == 12
    assert len(finetune("predict", data, "--model", tiny_weights, "--json")[1].splitlines()) == 12
