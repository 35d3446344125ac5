"""`finetune.load` and `Classifier`: the model, and one row for every image."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import finetune
from finetune.classifier import Classifier, load
from finetune.data.images import read_image
from finetune.data.network_input import to_input
from finetune.errors import RunError, UsageError, WeightsError
from finetune.metrics import softmax
from finetune.model import Model, save_model
from finetune.system.parallel import LOOK_AHEAD


@pytest.mark.tensorflow
def test_probabilities(tiny_model: Model, tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    """Every probability is the softmax of the network's output for the decoded image."""
    from finetune.networks.forward import forward

    paths = sorted(image_folder(stripes=2, dots=3).rglob("*.png"))
    predictions = list(load(str(tiny_weights)).predict(paths, top=3, batch_size=2))
    assert [prediction.path for prediction in predictions] == paths
    preprocessing = tiny_model.network.preprocessing
    for prediction in predictions:
        pixels = preprocessing.normalize(to_input(read_image(prediction.path), preprocessing))[None]
        logits = forward(tiny_model.network.layers, tiny_model.weights, pixels).numpy()[0].astype(np.float64)
        expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        assert sum(score.probability for score in prediction.scores) == pytest.approx(1)
        found = [score.probability for score in prediction.scores]
        assert found == sorted(found, reverse=True)
        assert found == pytest.approx([expected[score.index] for score in prediction.scores], abs=1e-4)
        assert all(("red", "green", "blue")[score.index] == score.label for score in prediction.scores)


def test_batch_size_and_order_do_not_matter(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=4, dots=3).rglob("*.png"))
    classifier = load(str(tiny_weights))
    one_by_one = {p.path: p.scores for p in classifier.predict(paths, top=3, batch_size=1)}
    for order, size in ((paths, 7), (paths[::-1], 3)):
        for prediction in classifier.predict(order, top=3, batch_size=size):
            expected = {score.label: score.probability for score in one_by_one[prediction.path]}
            assert {s.label: s.probability for s in prediction.scores} == pytest.approx(expected, abs=1e-5)


def test_unreadable_images_keep_their_rows(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    good = next(image_folder(stripes=1).rglob("*.png"))
    empty = tmp_path / "empty.jpg"
    empty.touch()
    images = [empty, good, tmp_path / "gone.png", tmp_path]
    rows = [p.to_json() for p in load(str(tiny_weights)).predict(images, top=1, folders=False)]
    assert [row["path"] for row in rows] == [str(empty), str(good), str(tmp_path / "gone.png"), str(tmp_path)]
    assert rows[0]["error"] == "the file is empty"
    assert rows[1]["predictions"][0].keys() == {"index", "label", "probability"}
    assert rows[2]["error"] == "cannot be opened (No such file or directory)"
    assert rows[3]["error"] == "cannot be opened (Is a directory)"


def test_one_image_several_or_a_folder(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    folder = image_folder(stripes=2, dots=1)
    paths = sorted(folder.rglob("*.png"))
    classifier = load(tiny_weights)
    several = list(classifier.predict(paths))
    assert list(classifier.predict(folder)) == several
    assert list(classifier.predict([str(folder / "dots"), folder / "stripes"])) == several
    (one,) = classifier.predict(str(paths[0]))
    assert one.label == several[0].label
    assert one.probability == pytest.approx(several[0].probability, abs=1e-4)
    assert [features.path for features in classifier.features(folder)] == paths
    ((path, logits),) = classifier.logits([folder])
    assert (path, str(logits)) == (folder, "cannot be opened (Is a directory)")
    (unread,) = classifier.features(folder, folders=False)
    assert unread.error == "cannot be opened (Is a directory)"


def test_only_unreadable_images(tiny_weights: Path, tmp_path: Path) -> None:
    (prediction,) = load(str(tiny_weights)).predict([tmp_path / "gone.png"])
    assert prediction.error


def test_the_log_names_the_default_model(
    tiny_model: Model,
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    assert len(load().class_names) == 200
    assert caplog.messages == ["model starter, as there is no run here, and bvlc_alexnet is not on this machine"]
    (tmp_path / "weights").mkdir()
    os.link(tiny_weights, tmp_path / "weights" / "bvlc_alexnet.safetensors")
    assert load().class_names == tiny_model.class_names
    assert caplog.messages[1] == "model bvlc_alexnet, as there is no run here; --model RUN for another"
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    save_model(tmp_path / "runs" / "mine" / "model.safetensors", tiny_model)
    load()
    assert caplog.messages[-1] == "model runs/mine, the only run here; --model starter for ImageNet's classes"


def test_models_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"weights 'startr': neither a file nor a published name \(did you mean starter\?\)"
    ):
        load("startr")
    with pytest.raises(RunError, match=r"has no model\.safetensors"):
        load(str(tmp_path))


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(
        softmax(np.log(np.float32([[1, 3], [2, 2]])) + 500), [[0.25, 0.75], [0.5, 0.5]], rtol=1e-5
    )


def test_arrays_give_what_their_files_give(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=2, dots=1).rglob("*.png"))
    classifier = load(tiny_weights)
    from_files = list(classifier.predict(paths))
    arrays = [read_image(path) for path in paths]
    for order, given in (("bgr", arrays), ("rgb", [array[..., ::-1] for array in arrays])):
        from_arrays = list(classifier.predict(given, channel_order=order))  # type: ignore[arg-type]
        assert [prediction.path for prediction in from_arrays] == [None] * 3
        assert [prediction.scores for prediction in from_arrays] == [prediction.scores for prediction in from_files]
    assert from_arrays[0].to_json()["path"] is None
    with pytest.raises(UsageError, match="a colour array needs channel_order"):
        list(classifier.predict(arrays))


def test_probabilities_of_all_classes_are_in_the_order_of_the_classes(
    tiny_weights: Path, image_folder: Callable[..., Path]
) -> None:
    (prediction,) = load(tiny_weights).predict(image_folder(stripes=1).rglob("*.png"), top=1)
    assert prediction.probabilities is not None
    assert prediction.probabilities.sum() == pytest.approx(1)
    assert prediction.probabilities.argmax() == prediction.scores[0].index
    assert prediction.probabilities.max() == prediction.scores[0].probability
    assert len(prediction.scores) == 1


@pytest.mark.tensorflow
def test_features_are_what_the_layer_gives(
    tiny_model: Model, tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    from finetune.networks.forward import activations

    path = next(image_folder(stripes=1).rglob("*.png"))
    classifier = load(tiny_weights)
    pixels = to_input(read_image(path), tiny_model.network.preprocessing)
    pixels = tiny_model.network.preprocessing.normalize(pixels)[None]
    expected = {name: x.numpy()[0] for name, x in activations(tiny_model.network.layers, tiny_model.weights, pixels)}
    for layer in ("conv1", "norm1", "pool5", "fc7", "fc8"):
        values, unread = classifier.features([path, tmp_path / "gone.png"], layer=layer)
        assert values.values is not None
        assert values.values.shape == classifier.feature_shapes([layer])[layer]
        np.testing.assert_allclose(values.values, expected[layer], rtol=1e-4, atol=1e-4)
        assert (unread.values, unread.error) == (None, "cannot be opened (No such file or directory)")
    (pooled,) = classifier.features([path], layer="conv5", pool="mean")
    assert pooled.values is not None
    assert pooled.values.shape == classifier.feature_shapes(["conv5"], "mean")["conv5"] == (256,)
    np.testing.assert_allclose(pooled.values, expected["conv5"].mean(axis=(0, 1)), rtol=1e-4, atol=1e-5)


def test_layers_that_do_not_exist_or_cannot_be_pooled(tiny_weights: Path) -> None:
    classifier = load(tiny_weights)
    with pytest.raises(
        UsageError, match=r"alexnet has no layer 'fc77' \(did you mean fc7\?\); its layers are conv1, n"
    ):
        classifier.features(["x.png"], layer="fc77")
    with pytest.raises(UsageError, match="the output of fc7 is a vector, so there is nothing to pool; omit pool"):
        classifier.features(["x.png"], pool="mean")


def test_ten_crops_by_hand(tiny_model: Model, tiny_weights: Path) -> None:
    """The mean over ten views cut out here, each an array of exactly the network's size."""
    size, whole = tiny_model.network.preprocessing.size, tiny_model.network.preprocessing.resize_to
    image = np.random.default_rng(0).integers(0, 256, (whole, whole, 3), np.uint8)
    far = whole - size
    views = [image[y : y + size, x : x + size] for y, x in ((0, 0), (0, far), (far, 0), (far, far))]
    views += [image[far // 2 : far // 2 + size, far // 2 : far // 2 + size]]
    views += [view[:, ::-1] for view in views]
    network = replace(tiny_model.network, preprocessing=replace(tiny_model.network.preprocessing, resize_to=size))
    plain = Classifier(replace(tiny_model, network=network)).predict(views, channel_order="bgr")
    expected = np.mean([view.probabilities for view in plain], axis=0)
    for batch_size in (32, 3):
        first, second = load(tiny_weights).predict(
            [image, image], batch_size=batch_size, channel_order="bgr", ten_crop=True
        )
        np.testing.assert_allclose(first.probabilities, expected, rtol=1e-4)  # type: ignore[arg-type]
        np.testing.assert_allclose(second.probabilities, expected, rtol=1e-4)  # type: ignore[arg-type]


def test_abstaining(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    paths = sorted(image_folder(stripes=2).rglob("*.png"))
    classifier = load(tiny_weights)
    (first, second) = (prediction.scores[0].probability for prediction in classifier.predict(paths))
    between = (first + second) / 2
    assert first != second
    abstained = [prediction.abstained for prediction in classifier.predict(paths, abstain_below=between)]
    assert abstained == [first < between, second < between]
    for prediction in classifier.predict(paths, abstain_below=1.0):
        assert prediction.to_json()["abstained"] is True
        assert prediction.scores
    assert "abstained" not in next(classifier.predict(paths)).to_json()
    with pytest.raises(UsageError, match=r"abstain_below must lie between 0 and 1, not 80"):
        classifier.predict(paths, abstain_below=80)


def test_images_are_read_as_they_are_needed(
    tiny_weights: Path, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = next(image_folder(stripes=1).rglob("*.png"))
    taken = 0

    def endless() -> Iterator[Path]:
        nonlocal taken
        while True:
            taken += 1
            yield path

    monkeypatch.setattr("finetune.networks.numpy_forward.MOST_WITH_NUMPY", 100)

    def compute(_: Classifier, layers: list[str], pixels: np.ndarray) -> dict[str, np.ndarray]:
        return {name: np.zeros((len(pixels), 3)) for name in layers}

    monkeypatch.setattr(Classifier, "_compute_with_tensorflow", compute)
    predictions = load(tiny_weights).predict(endless(), batch_size=2)
    assert taken == 0
    next(predictions)
    assert 100 < taken <= 101 + LOOK_AHEAD
    predictions.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("bias", [(np.nan, 0, 0), (0, np.inf, 0), (np.nan, np.nan, np.nan)])
def test_output_that_is_not_finite(
    bias: tuple[float, ...], tiny_model: Model, image_folder: Callable[..., Path]
) -> None:
    path = next(image_folder(stripes=1).rglob("*.png"))
    damaged = Classifier(replace(tiny_model, weights={**tiny_model.weights, "fc8/bias": np.float32(bias)}))
    with pytest.raises(WeightsError, match=r"the model's output for .*0\.png is not finite: its weights are damaged"):
        list(damaged.predict([path]))


def test_batch_size_must_be_positive(tiny_model: Model) -> None:
    with pytest.raises(UsageError, match="batch_size must be 1 or more, not 0"):
        Classifier(tiny_model).predict(["x.png"], batch_size=0)


def test_names_of_the_package() -> None:
    """The public names; importing the package loads nothing heavy."""
    assert finetune.__all__ == [
        "Classifier", "Description", "Features", "FinetuneError", "Prediction", "Run", "Score", "TrainConfig",
        "__version__", "load", "train",
    ]  # fmt: skip
    for name in finetune.__all__:
        assert getattr(finetune, name) is not None
    assert dir(finetune) == finetune.__all__
    with pytest.raises(AttributeError, match="module 'finetune' has no attribute 'lod'"):
        finetune.lod  # noqa: B018
    program = "import sys, finetune; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "tensorflow", "cv2", "requests"} & set(loaded)


def test_names_of_the_classifier() -> None:
    public = {name for name in dir(Classifier) if not name.startswith("_")}
    assert public == {
        *("class_names", "temperature", "predict", "features", "feature_shapes", "logits"),
        *("to_keras", "dataset"),
    }
    assert load("starter").model.class_names == load("starter").class_names
