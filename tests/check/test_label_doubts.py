"""Labels that a model doubts, on features with a known answer."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from finetune.check import label_doubts
from finetune.check.check import check
from finetune.check.finding_kinds import Finding
from finetune.check.label_doubts import FeatureCollector, find_label_doubts, require_extra
from finetune.check.look import ImageLook
from finetune.classifier import Classifier
from finetune.data.dataset import LabelledFile
from finetune.data.images import read_input
from finetune.errors import DataError, UsageError, WeightsError
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights


def looks(class_names: list[str]) -> list[ImageLook]:
    return [ImageLook(LabelledFile(Path(f"{row}.jpg"), name, "train")) for row, name in enumerate(class_names)]


def two_clouds(count: int = 40) -> tuple[list[str], np.ndarray]:
    """Return names and features of two classes that are far apart."""
    generator = np.random.default_rng(0)
    names = ["ants", "bees"] * (count // 2)
    centers = np.where(np.array(names)[:, None] == "ants", [4.0, 0, 1, 1], [0, 4.0, 1, 1])
    return names, (centers + generator.uniform(0, 0.5, (count, 4))).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Model:
    """A single tower of 67 pixels without normalisation, which takes ten seconds to compile."""
    network = build("alexnet-owt", {"num_classes": 2, "input_size": 67, "fc_units": 8})
    return Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=7), ("stripes", "dots"))


def test_swapped_labels_are_found() -> None:
    names, features = two_clouds()
    assert find_label_doubts(looks(names), features, range(40)) == ([], 1.0)
    names[3], names[10] = "ants", "bees"
    found, accuracy = find_label_doubts(looks(names), features, range(40))
    assert {finding.paths for finding in found} == {(Path("3.jpg"),), (Path("10.jpg"),)}
    assert all(finding.kind == "suspect-label" and not finding.hard for finding in found)
    by_path = {finding.paths[0].name: finding.message for finding in found}
    assert by_path["3.jpg"].startswith("labelled 'ants', looks like 'bees' (")
    assert accuracy == 38 / 40


def test_copies_do_not_confirm_each_other() -> None:
    """A class of two kinds of images, one of them a single image and its copies, all labelled wrongly."""
    names, features = two_clouds()
    copies = list(range(1, 12, 2))  # they show bees
    features[copies] = features[1]
    for row in copies:
        names[row] = "ants"
    groups = [1 if row in copies else row for row in range(40)]
    found, _ = find_label_doubts(looks(names), features, groups)
    assert {int(finding.paths[0].stem) for finding in found} == set(copies)


def test_small_classes_are_skipped_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    names, features = two_clouds()
    names[0] = names[1] = "wasps"
    with caplog.at_level(logging.WARNING):
        found, _ = find_label_doubts(looks(names), features, range(40))
    assert found == []
    assert caplog.messages == ["too few images to doubt the labels of 'wasps'"]
    message = "expected two classes with 10 different images or more to doubt labels, found 1; add images, or"
    with pytest.raises(DataError, match=message):
        find_label_doubts(looks(names), features, [0 if name == "ants" else row for row, name in enumerate(names)])


def test_ten_images_of_a_class_are_enough(caplog: pytest.LogCaptureFixture) -> None:
    names, features = two_clouds(20)
    assert find_label_doubts(looks(names), features, range(20)) == ([], 1.0)
    assert caplog.messages == []


def test_a_label_that_the_head_finds_most_likely_is_not_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Confident learning may also list images whose label is the most likely one."""
    monkeypatch.setattr("cleanlab.filter.find_label_issues", lambda *_, **__: [0, 1, 3])
    names, features = two_clouds()
    names[3] = "ants"
    found, _ = find_label_doubts(looks(names), features, range(40))
    assert [finding.paths for finding in found] == [(Path("3.jpg"),)]


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    require_extra()
    monkeypatch.setattr(label_doubts, "find_spec", lambda name: None if name == "cleanlab" else object())
    with pytest.raises(UsageError, match=r"--model needs cleanlab; pip install 'cleanlab>=2.7'"):
        require_extra()


@pytest.mark.tensorflow
def test_features_are_what_the_last_layer_receives(image_folder: Callable[..., Path], model: Model) -> None:
    paths = sorted(image_folder(stripes=35).glob("*/*.png"))
    collector = FeatureCollector(model)
    for path in paths:
        pixels = read_input(path, model.network.preprocessing)
        assert isinstance(pixels, np.ndarray)
        collector.add(pixels)
    expected = [features.values for features in Classifier(model).features(paths, "fc7")]
    np.testing.assert_allclose(collector.features(), np.stack(expected), rtol=1e-4, atol=1e-4)


@pytest.mark.tensorflow
def test_no_image_and_damaged_weights(model: Model) -> None:
    with pytest.raises(DataError, match="no image can be read, so there are no labels to doubt; check without --model"):
        FeatureCollector(model).features()
    weights = {**model.weights, "fc7/bias": np.full_like(model.weights["fc7/bias"], np.nan)}
    collector = FeatureCollector(Model(model.network, weights, model.class_names))
    collector.add(np.zeros((67, 67, 3), np.uint8))
    message = r"^the model's features are not finite: its weights are damaged; use another model$"
    with pytest.raises(WeightsError, match=message):
        collector.features()


@pytest.mark.tensorflow
def test_a_check_with_a_model(image_folder: Callable[..., Path], model: Model, tmp_path: Path) -> None:
    data = image_folder(stripes=14, dots=14)
    (data / "dots" / "broken.png").touch()
    save_model(tmp_path / "model.safetensors", model)
    checked = check(data, str(tmp_path / "model.safetensors"))
    assert checked.accuracy is not None
    assert checked.to_json()["label_check_accuracy"] == checked.accuracy
    assert [finding.paths for finding in checked.of("unreadable")] == [(data / "dots" / "broken.png",)]


@pytest.mark.tensorflow
def test_a_check_puts_copies_into_one_group(
    image_folder: Callable[..., Path], model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = image_folder(stripes=3, dots=3)
    (data / "dots" / "copy.png").write_bytes((data / "dots" / "0.png").read_bytes())
    save_model(tmp_path / "model.safetensors", model)
    given: dict[str, int] = {}

    def doubts(looks: list[ImageLook], features: np.ndarray, groups: list[int]) -> tuple[list[Finding], float]:
        given.update(zip((image.file.path.relative_to(data).as_posix() for image in looks), groups, strict=True))
        assert len(features) == len(looks) == 7
        return [Finding("suspect-label", "doubtful")], 0.5

    monkeypatch.setattr("finetune.check.check.find_label_doubts", doubts)
    checked = check(data, str(tmp_path / "model.safetensors"))
    assert given["dots/copy.png"] == given["dots/0.png"]
    assert len(set(given.values())) == 6
    assert (checked.accuracy, [finding.message for finding in checked.of("suspect-label")]) == (0.5, ["doubtful"])
