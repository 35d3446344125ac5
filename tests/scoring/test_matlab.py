"""Features as a MATLAB 7.3 file: its header, and what MATLAB finds in it; `test_hdf5.py` loads one with Octave."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io.matlab import matfile_version
from support.score_rows import write_rows

from finetune.classifier import Classifier, Features
from finetune.model import Model
from finetune.scoring.choose_format import choose_format
from finetune.scoring.input_list import InputList, read_input_list
from finetune.scoring.score_options import ScoreOptions


@pytest.fixture
def classifier(tiny_model: Model) -> Classifier:
    return Classifier(tiny_model)


def test_variables(classifier: Classifier, tmp_path: Path) -> None:
    """MATLAB shows the axes of HDF5 in reverse: those of the transposed arrays."""
    out = tmp_path / "acts.mat"
    options = ScoreOptions(features=("pool1", "fc7:linear"))
    height, width, channels = classifier.feature_shapes(["pool1"])["pool1"]
    maps = np.arange(height * width * channels, dtype=np.float32).reshape(height, width, channels)
    row = Features(Path("ü\udcff.png"), {"pool1": maps, "fc7:linear": np.arange(8, dtype=np.float32)})
    format = choose_format(out, classifier, options, InputList(2, 8, {}))
    write_rows(format, out, [[row, Features(Path("b"), error="x")]])
    with h5py.File(out) as file:
        assert {name: file[name].attrs["MATLAB_class"] for name in file} == {
            "error": b"char",
            "fc7_linear": b"single",
            "path": b"char",
            "pool1": b"single",
        }
        shown = file["pool1"][:].T
        assert shown.shape == (height, width, channels, 2)
        np.testing.assert_array_equal(shown[..., 0], maps)
        assert np.isnan(shown[..., 1]).all()
        np.testing.assert_array_equal(file["fc7_linear"][0], np.arange(8))
        texts = ["".join(map(chr, units)) for units in file["path"][:]]
    assert texts == ["ü\N{REPLACEMENT CHARACTER}.png  ", "b       "]


def test_header(classifier: Classifier, tmp_path: Path) -> None:
    out = tmp_path / "acts.mat"
    format = choose_format(out, classifier, ScoreOptions(features=("fc7",)), InputList(1, 1, {}))
    write_rows(format, out, [[Features("x", error="y")]])
    assert matfile_version(str(out)) == (2, 0), "SciPy: MATLAB 7.3"
    content = out.read_bytes()
    assert content[:19] == b"MATLAB 7.3 MAT-file"
    assert content[124:128] == b"\x00\x02IM"
    assert content[512:520] == b"\x89HDF\r\n\x1a\n", "after 512 bytes"


def test_columns_are_a_struct(classifier: Classifier, tmp_path: Path) -> None:
    stimuli = tmp_path / "in" / "stimuli.csv"
    stimuli.parent.mkdir()
    stimuli.write_text("path,1st label,größe\na.png,ant,7\n", encoding="utf-8")
    out = tmp_path / "out" / "acts.mat"
    out.parent.mkdir()
    format = choose_format(out, classifier, ScoreOptions(features=("fc7",)), read_input_list([str(stimuli)]))
    write_rows(format, out, [[Features("x", error="y")]])
    with h5py.File(out) as file:
        assert file["columns"].attrs["MATLAB_class"] == b"struct"
        assert {name: "".join(map(chr, texts[0])) for name, texts in file["columns"].items()} == {
            "x1st_label": "ant",
            "gr__e": "7",
        }
