"""Which classes are explained, where their maps are drawn, and which arguments are refused."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from finetune.classifier import Classifier
from finetune.errors import ImageError, RunError, UsageError
from finetune.explain import Explanation, explain, grad_cam, occlusion, show_filters
from finetune.explain.drawing import draw_explanations
from finetune.model import Model
from finetune.networks import build
from finetune.networks.layers import Conv, Dense
from finetune.prediction import Score

NAMES = ("tench, Tinca tinca", "crane", "$x_1$ 鹤", "crane")


@pytest.fixture
def classifier(handmade: Callable[..., Classifier]) -> Classifier:
    """Logits -1, 2, 0 and 1 times a sixteenth of the sum of the pixels."""
    return handmade(
        (Conv("conv1", 1, 1), Dense("fc", 4, relu=False)),
        {"conv1/kernel": [[[[1]]]], "conv1/bias": [0], "fc/kernel": [[-1, 2, 0, 1]] * 144, "fc/bias": [0] * 4},
        size=12,
        names=NAMES,
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    x = np.zeros((12, 12), np.uint8)
    x[5, 7] = 1
    cv2.imwrite(str(tmp_path / "photo.png"), x)
    return tmp_path / "photo.png"


@pytest.mark.tensorflow
def test_predicted_and_chosen(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    predicted, chosen = explain(classifier, photo, tmp_path / "out.png", "tinca TINCA")
    powers = np.exp([-1, 2, 0, 1])
    assert (predicted.score.index, predicted.score.label) == (1, "crane")
    assert (chosen.score.index, chosen.score.label) == (0, NAMES[0])
    assert [predicted.score.probability, chosen.score.probability] == pytest.approx(
        [p / powers.sum() for p in powers[[1, 0]]]
    )
    pixels = cv2.imread(str(photo), cv2.IMREAD_GRAYSCALE)[..., None]
    np.testing.assert_array_equal(predicted.grad_cam, grad_cam(classifier, pixels, [1])[0])
    np.testing.assert_array_equal(chosen.occlusion, occlusion(classifier, pixels, [0])[0])
    assert predicted.grad_cam[5, 7] == 1
    assert predicted.occlusion[5, 7] > 0 > chosen.occlusion[5, 7]


@pytest.mark.tensorflow
def test_names(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    """The predicted class is explained once, and of two classes with one name the more probable one is meant."""
    assert len(explain(classifier, photo, tmp_path / "1.png")) == 1
    assert len(explain(classifier, photo, tmp_path / "2.png", "crane")) == 1
    assert explain(classifier, photo, tmp_path / "3.png", "$x_1$ 鹤")[1].score.index == 2
    assert explain(classifier, photo, tmp_path / "4.png", "tench, Tinca tinca")[1].score.index == 0


@pytest.mark.tensorflow
def test_grad_cam_is_of_the_layer_asked_for(handmade: Callable[..., Classifier], photo: Path, tmp_path: Path) -> None:
    """conv1 gives the pixels, conv2 only what is above 5."""
    cv2.imwrite(str(photo), np.arange(144, dtype=np.uint8).reshape(12, 12) // 14)
    classifier = handmade(
        (Conv("conv1", 1, 1), Conv("conv2", 1, 1), Dense("fc", 2, relu=False)),
        {
            "conv1/kernel": [[[[1]]]],
            "conv1/bias": [0],
            "conv2/kernel": [[[[1]]]],
            "conv2/bias": [-5],
            "fc/kernel": [[1, 0]] * 144,
            "fc/bias": [0] * 2,
        },
        size=12,
    )
    (first,) = explain(classifier, photo, tmp_path / "1.png", layer="conv1")
    (last,) = explain(classifier, photo, tmp_path / "2.png")
    assert (first.grad_cam > 0).sum() == 144 - 14
    assert (last.grad_cam > 0).sum() == 144 - 6 * 14


@pytest.mark.tensorflow
def test_colours_are_right(tiny_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network takes BGR, the drawing RGB."""
    drawn: list[np.ndarray] = []
    monkeypatch.setattr("finetune.explain.explanation.draw_explanations", lambda out, title, rgb, *_: drawn.append(rgb))
    monkeypatch.setattr("finetune.explain.explanation.occlusion", lambda *_: np.zeros((1, 67, 67), np.float32))
    monkeypatch.setattr("finetune.explain.filters.draw_activations", lambda out, title, rgb, *_: drawn.append(rgb))
    cv2.imwrite(str(tmp_path / "red.png"), np.full((80, 80, 3), (0, 0, 255), np.uint8))
    explain(Classifier(tiny_model), tmp_path / "red.png", tmp_path / "out.png")
    show_filters(Classifier(tiny_model), tmp_path / "out.png", "conv1", tmp_path / "red.png")
    assert [rgb[0, 0].tolist() for rgb in drawn] == [[255, 0, 0]] * 2


@pytest.mark.tensorflow
def test_the_same_call_writes_the_same_bytes(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        explain(classifier, photo, tmp_path / name, "tench")
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "2.png").read_bytes()


def test_the_map_is_drawn_where_it_belongs(tmp_path: Path) -> None:
    """Over black, colours are six tenths of the scale's: the end of inferno at the top left, its start elsewhere."""
    cam = np.zeros((20, 20), np.float32)
    cam[:10, :10] = 1
    explanation = Explanation(Score(0, "a", 1.0), cam, np.zeros((20, 20), np.float32))
    draw_explanations(tmp_path / "out.png", "title", np.zeros((20, 20, 3), np.uint8), [explanation], "conv1")
    drawn = cv2.imread(str(tmp_path / "out.png"))[..., ::-1].astype(int)
    bright, dark = (0.6 * 255 * np.array(end) for end in ((0.988, 1.0, 0.645), (0.001, 0.0, 0.014)))
    rows, columns = np.nonzero((abs(drawn - bright) <= 1).all(axis=2))
    assert len(rows) > 1000
    dark_rows, dark_columns = np.nonzero((abs(drawn - dark) <= 1).all(axis=2) & (drawn[..., 2] > 0))
    assert rows.max() < (rows.min() + dark_rows.max()) / 2 + 2
    assert columns.max() < (columns.min() + dark_columns.max()) / 2 + 2


@pytest.mark.tensorflow
def test_arguments_that_are_refused(classifier: Classifier, photo: Path, tmp_path: Path) -> None:
    before = photo.read_bytes()
    with pytest.raises(RunError, match=r"photo\.png exists; choose another name, or --overwrite"):
        explain(classifier, photo, photo)
    with pytest.raises(UsageError, match=r"out\.jpg: expected a name that ends in \.png, \.pdf or \.svg"):
        explain(classifier, photo, tmp_path / "out.jpg")
    with pytest.raises(RunError, match=r"the folder .*nowhere does not exist; create it first"):
        explain(classifier, photo, tmp_path / "nowhere" / "out.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match="is a folder; expected the name of a file"):
        explain(classifier, photo, tmp_path / "folder.png", overwrite=True)
    with pytest.raises(
        UsageError,
        match=r"--class: the model has no class 'crana' \(did you mean crane\?\); its classes are tench; crane; ",
    ):
        explain(classifier, photo, tmp_path / "out.png", "crana")
    with pytest.raises(UsageError, match="--layer: handmade has no layer 'conv7'"):
        explain(classifier, photo, tmp_path / "out.png", layer="conv7")
    (tmp_path / "out.png").write_bytes(b"mine")
    with pytest.raises(ImageError, match=r"gone\.png: cannot be opened"):
        explain(classifier, tmp_path / "gone.png", tmp_path / "out.png", overwrite=True)
    assert (tmp_path / "out.png").read_bytes() == b"mine"
    assert photo.read_bytes() == before
    explain(classifier, photo, tmp_path / "out.png", overwrite=True)
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


def test_network_without_classes(photo: Path, tmp_path: Path) -> None:
    tower = Classifier(Model(build("alexnet-book"), {}, ()))
    with pytest.raises(
        UsageError, match="alexnet-book ends with pool5 and has no classes; explain needs a model with classes"
    ):
        explain(tower, photo, tmp_path / "out.png")
