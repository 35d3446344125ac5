"""Features as HDF5, read back by h5py, and by GNU Octave where it is installed."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.score_rows import write_rows

from finetune.classifier import Classifier, Features
from finetune.errors import RunError
from finetune.model import Model
from finetune.scoring.choose_format import choose_format
from finetune.scoring.formats import Format
from finetune.scoring.input_list import InputList, read_input_list
from finetune.scoring.resumable_output import ResumableOutput
from finetune.scoring.rows import ScoreRow
from finetune.scoring.score_options import ScoreOptions

OPTIONS = ScoreOptions(features=("pool1", "fc7:linear"))
NAMES = [b"a.png", b"na\xffme.png", "ü.png".encode()]
THREE = InputList(3, 9, {})


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


def rows(classifier: Classifier) -> list[ScoreRow]:
    """Three rows with numbers of their own in both layers, the second of them unread."""
    shapes = classifier.feature_shapes(OPTIONS.features)
    found: list[ScoreRow] = []
    for number, name in enumerate(NAMES):
        path = Path(name.decode("utf-8", "surrogateescape"))
        start = 1000 * number
        values = {
            layer: np.arange(start, start + np.prod(shape), dtype=np.float32).reshape(shape)
            for layer, shape in shapes.items()
        }
        found.append(Features(path, error="the file is empty") if number == 1 else Features(path, values))
    return found


def hdf5(
    classifier: Classifier, out: Path, inputs: InputList = THREE, about: Mapping[str, str] | None = None
) -> Format:
    return choose_format(out, classifier, OPTIONS, inputs, about)


def test_datasets(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "acts.h5"
    every = rows(classifier)
    write_rows(hdf5(classifier, out, about={"model_sha256": "ab"}), out, [every[:2], every[2:]])
    with h5py.File(out) as file:
        assert dict(file.attrs) == {"model_sha256": "ab"}
        assert list(file) == ["error", "fc7:linear", "path", "pool1"]
        assert dict(file["pool1"].attrs) == {"layer": "pool1", "axes": "image,height,width,channel"}
        assert dict(file["fc7:linear"].attrs) == {"layer": "fc7:linear", "axes": "image,channel"}
        assert file["path"][:].tolist() == NAMES
        assert file["error"][:].tolist() == [b"", b"the file is empty", b""]
        for layer in OPTIONS.features:
            array = file[layer][:]
            assert array.dtype == np.float32
            for found, row in zip(array, every, strict=True):
                assert isinstance(row, Features)
                np.testing.assert_array_equal(found, np.full_like(found, np.nan) if row.error else row.values[layer])


def test_float16(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "fc7.h5"
    format = choose_format(out, classifier, ScoreOptions(features=("fc7",), dtype="float16"), InputList(1, 5, {}))
    write_rows(format, out, [[Features(Path("a.png"), {"fc7": np.full(8, 1 / 3, np.float32)})]])
    with h5py.File(out) as file:
        assert file["fc7"].dtype == np.float16
        assert file["fc7"][0].tolist() == [np.float16(1 / 3)] * 8


def test_columns_of_a_csv(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.scoring.hdf5.CSV_LINES", 2)
    stimuli = tmp_path / "in" / "stimuli.csv"
    stimuli.parent.mkdir()
    stimuli.write_text("path,label,a/b,a_b,.\n1.png,ant,,'=1,z\n2.png,Ämse,2,,\n3.png,b,33,x,\n", encoding="utf-8")
    out = tmp_path / "out" / "acts.h5"
    out.parent.mkdir()
    write_rows(hdf5(classifier, out, read_input_list([str(stimuli)])), out, [rows(classifier)])
    with h5py.File(out) as file:
        columns = {name: [text.decode() for text in texts[:]] for name, texts in file["columns"].items()}
    assert columns == {
        "label": ["ant", "Ämse", "b"],
        "a_b": ["", "2", "33"],
        "a_b_": ["=1", "", "x"],
        "_": ["z", "", ""],
    }


def test_a_long_reason_is_cut_between_letters(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "acts.h5"
    write_rows(hdf5(classifier, out, InputList(1, 1, {})), out, [[Features("x", error="a" + "ü" * 200)]])
    with h5py.File(out) as file:
        assert file["error"][0].decode() == "a" + "ü" * 127


def test_as_many_rows_as_at_the_start(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "acts.h5"
    for count, found in ((2, "3 or more"), (4, "3")):
        with pytest.raises(
            RunError, match=f"expected the {count} images .* at the start, but there are {found}; restore"
        ):
            write_rows(hdf5(classifier, out, InputList(count, 9, {})), out, [rows(classifier)])


def test_resumed_after_half_a_row(classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 0)
    every = rows(classifier)
    for name in ("whole.h5", "stopped.h5"):
        with ResumableOutput(tmp_path / name, hdf5(classifier, tmp_path / name), {}) as output:
            output.write(every[:1])
            if name == "whole.h5":
                output.write(every[1:])
                output.finish()
            else:
                monkeypatch.setattr("finetune.scoring.resumable_output.SECONDS_BETWEEN_STATES", 1000)
                output.write(every[2:])  # at the place of the second row; no state counts it
    for inputs in (InputList(4, 9, {}), InputList(3, 8, {}), InputList(3, 9, {"label": 3})):
        other = hdf5(classifier, out := tmp_path / "stopped.h5", inputs)
        with (
            ResumableOutput(out, other, {}, resume=True) as output,
            pytest.raises(RunError, match=rf"was started for other inputs than these {inputs.count}; give the same to"),
        ):
            output.write(every[1:])
    with ResumableOutput(out, hdf5(classifier, out), {}, resume=True) as output:
        output.write(every[1:])
        output.finish()
    assert out.read_bytes() == (tmp_path / "whole.h5").read_bytes()


@pytest.mark.skipif(shutil.which("octave-cli") is None, reason="GNU Octave is not installed")
@pytest.mark.parametrize(
    ("ending", "value", "unread", "name"),
    [
        (
            "h5",
            "pool1(1, 1, 2, 1)",
            "pool1(1, 1, 1, 2)",
            "path(1, 1:5)",
        ),  # the axes of the file, reversed; 672 = 7 × 96
        ("mat", "pool1(2, 1, 1, 1)", "pool1(1, 1, 1, 2)", "path(1:5, 1)"),
    ],
)
def test_octave(ending: str, value: str, unread: str, name: str, classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / f"acts.{ending}"
    write_rows(hdf5(classifier, out), out, [rows(classifier)])
    program = f"x = load('{out}'); printf('%d %d %s', x.{value}, isnan(x.{unread}), x.{name})"
    done = subprocess.run(["octave-cli", "--quiet", "--eval", program], capture_output=True, check=False)
    assert done.stdout == b"672 1 a.png", done.stderr
