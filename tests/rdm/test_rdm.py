"""The whole: files that rsatoolbox reads, agreement of two networks, what is skipped, and errors."""

import logging
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist
from support.activation_files import random_layers, write_activations

from finetune.choices import Dissimilarity
from finetune.errors import DataError, FinetuneError, RunError, UsageError
from finetune.rdm import rdm as module
from finetune.rdm import tiles
from finetune.rdm.rdm import WrittenRdms, write_rdms

MEASURES = {"correlation": "correlation", "euclidean": "squared euclidean", "cosine": "cosine"}
COLUMNS = {"class": ["ant", "bee", "ant", "bée", "bee", "ant", "ant"]}


def write(files: list[Path], metric: Dissimilarity = "correlation", **options: Any) -> tuple[WrittenRdms, Path]:
    out = files[0].with_name("rdms.h5")
    return write_rdms(files, out, out.with_suffix(".png"), metric, **options), out


def flat(values: np.ndarray, stimuli: list[int]) -> np.ndarray:
    return values.reshape(len(values), -1)[stimuli].astype(np.float64)


@pytest.mark.parametrize("metric", ["correlation", "euclidean", "cosine"])
def test_layout(metric: Dissimilarity, tmp_path: Path) -> None:
    """Each is in place, as `rsatoolbox.rdm.RDMs.save` writes it."""
    layers = random_layers(7)
    written, out = write([write_activations(tmp_path / "acts.h5", layers, columns=COLUMNS)], metric)
    assert written == WrittenRdms(2, 7, ())
    with h5py.File(out) as file:
        assert dict(file.attrs) == {"dissimilarity_measure": MEASURES[metric]}
        assert sorted(file) == ["descriptors", "dissimilarities", "pattern_descriptors", "rdm_descriptors"]
        matrices = {name: column[:].tolist() for name, column in file["rdm_descriptors"].items()}
        assert matrices == {
            "index": [0, 1],
            "layer": [b"conv5", b"fc7"],
            "file": [b"acts.h5"] * 2,
            "network": [b"alexnet"] * 2,
            "model_sha256": [b"ab"] * 2,
        }
        patterns = {name: column[:].tolist() for name, column in file["pattern_descriptors"].items()}
        assert patterns["path"] == [f"{number}.png".encode() for number in range(7)]
        assert patterns["class"] == [b"ant", b"bee", b"ant", b"b\\xe9e", b"bee", b"ant", b"ant"]
        for found, values in zip(file["dissimilarities"][:], layers.values(), strict=True):
            every = flat(values, list(range(7)))
            expected = pdist(every, "sqeuclidean" if metric == "euclidean" else metric)
            np.testing.assert_allclose(found, expected / (every.shape[1] if metric == "euclidean" else 1), atol=1e-9)
    assert (tmp_path / "rdms.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acts.h5", "rdms.h5", "rdms.png"]


@pytest.mark.parametrize("metric", ["correlation", "euclidean"])
def test_rsatoolbox_reads_the_same_numbers(metric: Dissimilarity, tmp_path: Path) -> None:
    """It computes no cosine."""
    data, calculated = pytest.importorskip("rsatoolbox.data"), pytest.importorskip("rsatoolbox.rdm")
    layers = random_layers(7)
    _, out = write([write_activations(tmp_path / "acts.h5", layers, columns=COLUMNS, errors={4: "empty"})], metric)
    rdms = calculated.load_rdm(str(out))
    kept = [0, 1, 2, 3, 5, 6]
    assert (rdms.n_rdm, rdms.n_cond) == (2, 6)
    assert rdms.rdm_descriptors["layer"] == ["conv5", "fc7"]
    assert rdms.pattern_descriptors["path"] == [f"{number}.png" for number in kept]
    assert rdms.subset_pattern("class", "ant").n_cond == 4
    for number, values in enumerate(layers.values()):
        expected = calculated.calc_rdm(data.Dataset(flat(values, kept)), method=metric)
        assert rdms.dissimilarity_measure == expected.dissimilarity_measure
        np.testing.assert_allclose(rdms.dissimilarities[number], expected.dissimilarities[0], atol=1e-6)


def two_files(folder: Path, stimuli: int = 9, **options: Any) -> list[Path]:
    first, second = random_layers(stimuli), random_layers(stimuli, seed=1)
    second["fc7"] += first["fc7"]
    return [
        write_activations(folder / "a.h5", first, **options),
        write_activations(folder / "b.h5", second | {"fc8": second["fc7"][:, :4]}, network="caffenet"),
    ]


def test_agreement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all pairs of layers, with scipy and from the definition of CKA; in tiles of three stimuli."""
    monkeypatch.setattr(tiles, "STIMULI", 3)
    files = two_files(tmp_path)
    written, out = write(files)
    assert [row[:2] for row in written.agreements] == [
        (layer, other) for layer in ("conv5", "fc7") for other in ("conv5", "fc7", "fc8")
    ]
    with h5py.File(files[0]) as first, h5py.File(files[1]) as second:
        for row in written.agreements:
            x, y = (flat(file[layer][:], list(range(9))) for file, layer in ((first, row.layer), (second, row.other)))
            left, right = pdist(x, "correlation"), pdist(y, "correlation")
            assert row.spearman == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-9)
            assert row.kendall_tau_a == pytest.approx(stats.kendalltau(left, right).statistic, abs=1e-9)
            x, y = x - x.mean(axis=0), y - y.mean(axis=0)
            cka = np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
            assert row.linear_cka == pytest.approx(cka, abs=1e-9)
    with h5py.File(out) as file:
        assert file["rdm_descriptors/network"][:].tolist() == [b"alexnet"] * 2 + [b"caffenet"] * 3
        assert file["dissimilarities"].shape == (5, 36)
        columns = zip(*(file["agreement"][name][:].tolist() for name in written.agreements[0]._fields), strict=True)
        assert [(row[0].decode(), row[1].decode(), *row[2:]) for row in columns] == list(map(tuple, written.agreements))


def test_rsatoolbox_finds_the_same_agreement(tmp_path: Path) -> None:
    rsatoolbox = pytest.importorskip("rsatoolbox.rdm")
    written, out = write(two_files(tmp_path))
    rdms = rsatoolbox.load_rdm(str(out))
    first, second = rdms.subset("network", "alexnet"), rdms.subset("network", "caffenet")
    for name, method in (("spearman", "spearman"), ("kendall_tau_a", "tau-a")):
        expected = rsatoolbox.compare(first, second, method=method).reshape(-1)
        np.testing.assert_allclose([getattr(row, name) for row in written.agreements], expected, atol=1e-9)


def test_what_has_no_dissimilarity_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In all layers of both files, so that all matrices are of the same stimuli."""
    caplog.set_level(logging.INFO, "finetune")
    files = two_files(tmp_path, errors={2: "it is empty"})
    with h5py.File(files[0], "a") as first, h5py.File(files[1], "a") as second:
        first["fc7"][2] = second["fc8"][5] = np.nan
        first["conv5"][7] = 0
    written, out = write(files)
    assert written.stimuli == 6
    assert caplog.messages == [
        "3 of 9 stimuli skipped: 2.png (it is empty), 5.png (fc8 is not finite), 7.png (conv5 is the same in all units)"
    ]
    with h5py.File(out) as file:
        assert file["pattern_descriptors/path"][:].tolist() == [b"%d.png" % number for number in (0, 1, 3, 4, 6, 8)]
        assert file["skipped/path"][:].tolist() == [b"2.png", b"5.png", b"7.png"]
        assert file["skipped/reason"][1] == b"fc8 is not finite"
        assert not np.isnan(file["dissimilarities"][:]).any()


def test_existing_files_stay(tmp_path: Path) -> None:
    """Unless --overwrite is given, and then too if the work fails."""
    files = [write_activations(tmp_path / "acts.h5", random_layers(4))]
    _, out = write(files)
    before = out.read_bytes()
    figure = out.with_suffix(".png")
    for existing, other in ((out, figure), (figure, out)):
        other.unlink()
        with pytest.raises(RunError, match=f"{existing.name} exists; choose another name, or --overwrite to replace"):
            write(files)
        existing.unlink()
        write(files)
    figure.unlink()
    out.write_bytes(before)
    write_activations(files[0], random_layers(2))
    with pytest.raises(DataError, match="expected 3 to 65,536 stimuli that can be compared, but it has 2; score"):
        write(files, overwrite=True)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acts.h5", "rdms.h5"]
    write_activations(files[0], random_layers(5))
    written, _ = write(files, overwrite=True)
    assert written.stimuli == 5


def test_too_many_stimuli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STIMULI", 4)
    with pytest.raises(DataError, match="expected 3 to 4 stimuli that can be compared, but it has 5"):
        write([write_activations(tmp_path / "acts.h5", random_layers(5))])


def test_ranks_of_the_most_stimuli_have_32_bits() -> None:
    pairs = module.MOST_STIMULI * (module.MOST_STIMULI - 1) // 2
    assert 2 * pairs < 1 << 32


def test_other_stimuli(tmp_path: Path) -> None:
    files = [write_activations(tmp_path / f"{count}.h5", random_layers(count)) for count in (4, 5)]
    with pytest.raises(DataError, match=r"4.h5 has 4 and \S*5.h5 5; score the same list with both models"):
        write(files)
    write_activations(files[1], random_layers(4), names=["0.png", "1.png", "x.png", "3.png"])
    with pytest.raises(DataError, match=r"the same order, but row 3 is 2.png in \S*4.h5 and x.png in \S*5.h5; score"):
        write(files)


@pytest.mark.parametrize(
    ("out", "figure", "error", "message"),
    [
        ("rdms.mat", "rdms.png", UsageError, "--out .*rdms.mat: expected a name that ends in .h5 or .hdf5"),
        ("rdms.h5", "rdms.jpg", UsageError, "--figure .*: expected a name that ends in .png, .pdf or .svg"),
        ("no/rdms.h5", "rdms.png", RunError, "--out .*: the folder .*no does not exist; create it first"),
        ("acts.h5", "rdms.png", UsageError, "--out .*acts.h5 is one of the files to read; choose another name"),
        ("folder.h5", "rdms.png", RunError, "--out .*folder.h5 is a folder; expected the name of a file"),
    ],
)
def test_wrong_names(out: str, figure: str, error: type[FinetuneError], message: str, tmp_path: Path) -> None:
    files = [write_activations(tmp_path / "acts.h5", random_layers(4))]
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(error, match=message):
        write_rdms(files, tmp_path / out, tmp_path / figure, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acts.h5", "folder.h5"]


def test_three_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected one file of features, or two to compare, but got 3; give two"):
        write([tmp_path / "a.h5"] * 3)
