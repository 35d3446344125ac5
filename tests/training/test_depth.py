"""How many layers start fresh: what is chosen from, what it is compared by, and the choice."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finetune.choices import Precision
from finetune.cli.config_file import read_config
from finetune.config import TrainConfig
from finetune.data.preprocessing import Preprocessing
from finetune.data.read_data import read_data
from finetune.errors import DataError, FinetuneError, UsageError
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.networks.layers import Conv, Dense, MaxPool
from finetune.networks.network import Network
from finetune.training import depth
from finetune.training import train as training
from finetune.training.depth import choose, cross_validate, kernel, skips_of
from finetune.training.make_plan import make_plan, plan_layers

FC8, FC7, FC6 = ("fc8",), ("fc7", "fc8"), ("fc6", "fc7", "fc8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": ("fc7", "auto")}, "--skip auto chooses the layers itself; omit fc7, or auto"),
        (
            {"train": ("conv5",)},
            "--skip auto and --train cannot both be given: name the layers of both, or of neither",
        ),
        (
            {"stages": "fc8:1"},
            "--skip auto and --stages cannot both be given: name the layers of both, or of neither",
        ),
        ({"weights": "none"}, "--skip auto chooses what is loaded, but --weights none loads nothing; omit one"),
    ],
)
def test_what_auto_does_not_go_with(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        TrainConfig(data=Path("images"), **{"skip": ("auto",), **options})
    assert str(error.value) == message


def test_a_choice_for_every_fully_connected_layer_at_the_end() -> None:
    for name in ("alexnet", "alexnet-bn", "alexnet-mnist"):
        assert skips_of(build(name)) == [FC8, FC7, FC6]


def test_nothing_to_choose_from() -> None:
    layers = (Conv("conv1", 4, 3), MaxPool("pool1", 2, 2), Dense("fc2", 3, relu=False))
    network = Network("small", {"num_classes": 3}, Preprocessing(size=8, mean=(0.0,) * 3, resize_to=8), layers)
    with pytest.raises(UsageError) as error:
        skips_of(network)
    assert str(error.value) == (
        "--skip auto chooses among the fully connected layers at the end, two or more; small has 1: "
        "name the layers with --skip"
    )


def test_the_kernel_is_that_of_the_gradients_of_wide_fresh_layers() -> None:
    """Inner products of the gradients of ReLU layers 1,000 wide with He's start, by backpropagation, mean of 20."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((4, 6))
    width, he = 1000, np.sqrt(2 / 1000)
    one, two = np.zeros((4, 4)), np.zeros((4, 4))
    for _ in range(20):
        first, second, last = (generator.standard_normal(shape) for shape in ((6, width), (width, width), width))
        inputs1 = x @ first
        outputs1 = np.maximum(inputs1, 0)
        delta1 = he * last * (inputs1 > 0)
        one += he**2 * outputs1 @ outputs1.T + (delta1 @ delta1.T) * (x @ x.T)

        inputs2 = he * outputs1 @ second
        outputs2 = np.maximum(inputs2, 0)
        delta2 = he * last * (inputs2 > 0)
        delta1 = he * (delta2 @ second.T) * (inputs1 > 0)
        two += he**2 * (outputs2 @ outputs2.T + (delta2 @ delta2.T) * (outputs1 @ outputs1.T))
        two += (delta1 @ delta1.T) * (x @ x.T)

    rows = x.astype(np.float32)
    np.testing.assert_allclose(kernel(rows, 0), x @ x.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel(rows, 1), one / 20, atol=0.02 * kernel(rows, 1).max())
    np.testing.assert_allclose(kernel(rows, 2), two / 20, atol=0.02 * kernel(rows, 2).max())


def test_cross_validation_is_a_regression_without_each_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closed form gives what 30 regressions give, each on the 29 others."""
    monkeypatch.setattr(depth, "STRENGTHS", (0.01,))
    generator = np.random.default_rng(1)
    labels = generator.integers(3, size=30)
    rows = generator.standard_normal((30, 5)) + 1.5 * np.eye(5)[labels]
    similar = rows @ rows.T
    errors, right = cross_validate(similar, labels, classes=3)
    ridge = 0.01 * np.trace(similar)
    for i in range(30):
        others = np.arange(30) != i
        weights = np.linalg.solve(rows[others].T @ rows[others] + ridge * np.eye(5), rows[others].T)
        predicted = rows[i] @ weights @ np.eye(3)[labels[others]]
        assert errors[i] == pytest.approx(np.sum((predicted - np.eye(3)[labels[i]]) ** 2))
        assert right[i] == (np.argmax(predicted) == labels[i])
    assert 0.5 < right.mean() < 1


def test_the_strength_with_the_least_error_counts() -> None:
    generator = np.random.default_rng(2)
    rows, labels = generator.standard_normal((40, 80)), np.arange(40) % 2
    found, _ = cross_validate(rows @ rows.T, labels, 2)
    each = []
    for strength in depth.STRENGTHS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(depth, "STRENGTHS", (strength,))
            each.append(cross_validate(rows @ rows.T, labels, 2)[0].mean())
    assert found.mean() == min(each) < max(each)


def test_features_that_are_all_zero_are_judged_as_guessing() -> None:
    errors, right = cross_validate(kernel(np.zeros((6, 4), np.float32), 2), np.array([0, 1] * 3), 2)
    np.testing.assert_allclose(errors, 1)  # nothing is predicted of the one class that is 1
    assert right.mean() == 0.5


@pytest.mark.parametrize(
    ("worse", "chosen"),
    [
        ((0.0, 0.0, 0.0), 0),
        ((0.3, 0.1, 0.0), 2),  # differences are ± 0.2 over 100 images, so twice the standard error is 0.04
        ((0.3, 0.041, 0.0), 2),
        ((0.3, 0.039, 0.0), 1),
        ((0.039, 0.3, 0.0), 0),
        ((0.0, 0.1, 0.3), 0),
    ],
)
def test_the_fewest_layers_that_are_not_clearly_worse(worse: tuple[float, ...], chosen: int) -> None:
    swing = np.tile([-0.2, 0.2], 50)
    common = np.random.default_rng(3).random(100)  # what all cuts find hard does not count
    best = worse.index(min(worse))
    assert choose([common + more + (number != best) * swing for number, more in enumerate(worse)]) == chosen


@pytest.mark.tensorflow
@pytest.mark.parametrize(("dead", "skip"), [("fc7", FC7), ("fc6", FC6)])
def test_as_deep_as_images_can_be_distinguished(
    image_folder: Callable[..., Path], tmp_path: Path, dead: str, skip: tuple[str, ...]
) -> None:
    """After a layer of zeros all images are alike; before it they are not."""
    network = build("alexnet", {"num_classes": 3, "input_size": 67, "fc_units": 256})
    weights = fresh_weights(network, tuple(network.weighted_layers()), seed=7)
    weights[f"{dead}/kernel"] *= 0
    save_model(tmp_path / "dead.safetensors", Model(network, weights, ("red", "green", "blue")))
    data = image_folder(stripes=20, dots=20)
    config = TrainConfig(data=data, skip=("auto",), weights=str(tmp_path / "dead.safetensors"))
    plan = make_plan(config, read_data(data, 0.2))
    assert (plan.skip, plan.trainable) == (skip, ())
    assert [cut.skip for cut in plan.cuts] == [FC8, FC7, FC6]
    (chosen,) = (cut for cut in plan.cuts if cut.chosen)
    assert chosen.skip == skip
    assert chosen.accuracy > 0.8
    assert plan.cuts[0].accuracy == 0.5
    assert plan.cuts[0].standard_error == pytest.approx(0.5 / np.sqrt(32))
    assert plan.cuts[0].error == pytest.approx(1)


@pytest.mark.tensorflow
def test_weights_that_give_infinite_features(
    tiny_model: Model, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """Finite ones that overflow: the sum of eight times 3e38."""
    infinite = {"fc6/bias": np.full(8, 3e38, np.float32), "fc7/kernel": np.ones((8, 8), np.float32)}
    save_model(tmp_path / "bad.safetensors", replace(tiny_model, weights={**tiny_model.weights, **infinite}))
    data = image_folder(stripes=4, dots=4)
    with pytest.raises(FinetuneError) as error:
        make_plan(
            TrainConfig(data=data, skip=("auto",), weights=str(tmp_path / "bad.safetensors")), read_data(data, 0.2)
        )
    assert str(error.value) == "the features before fc8 are not all finite; check the weights, or name --skip"


@pytest.mark.tensorflow
def test_the_run_records_the_choice_and_resumes_with_it(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = image_folder(stripes=10, dots=10)
    (data / "dots" / "broken.jpg").write_bytes(b"not a image")
    run = training.train(
        TrainConfig(data=data, out=tmp_path / "run", skip=("auto",), weights=str(tiny_weights), epochs=1)
    )
    config = run.config()
    assert [cut["skip"] for cut in config["cuts"]] == [[*FC8], [*FC7], [*FC6]]
    assert [cut["skip"] for cut in config["cuts"] if cut["chosen"]] == [config["skip"]]
    (line,) = (line for line in (run.path / "plan.txt").read_text().splitlines() if line.endswith("chosen"))
    assert line.startswith(", ".join(config["skip"]))
    assert "cuts" not in read_config(run.path / "config.json")

    def no_choice(plan: object, dataset: object) -> None:
        raise AssertionError("a resumed run does not choose again")

    monkeypatch.setattr("finetune.training.make_plan.compare_cuts", no_choice)
    assert training.resume(run.path).config() == config


@pytest.mark.tensorflow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_choice_costs_no_more_features_than_training_does(
    tiny_weights: Path,
    image_folder: Callable[..., Path],
    break_png: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
) -> None:
    """Every image is decoded once for all cuts, and the features are, to the bit, what each trunk gives alone."""
    from finetune.networks.compiled import BATCH_SIZE
    from finetune.training import cut_features, features
    from finetune.training.features import Trunk, View

    decoded: list[bytes] = []
    decode = features.decode
    monkeypatch.setattr(
        features, "decode", lambda data, *rest, **options: (decoded.append(data), decode(data, *rest, **options))[1]
    )
    data = image_folder(stripes=BATCH_SIZE, dots=BATCH_SIZE // 2)
    break_png(data / "dots" / "3.png")
    config = TrainConfig(data=data, weights=str(tiny_weights), precision=precision)
    records = read_data(data, 0.2).records
    plan, view = plan_layers(config, 2), View(0, precision)
    rows, unreadable = cut_features.cut_features(plan, [FC8, FC7, FC6], records)
    assert [part.shape for part in rows] == [(47, 8), (47, 8), (47, 256)]
    assert [path.name for path in unreadable] == ["3.png"]
    assert len(decoded) == len(records)
    decoded.clear()
    readable = [record for record in records if record.path not in unreadable]
    for skip, part in zip((FC8, FC7, FC6), rows, strict=True):
        trunk = Trunk(replace(plan, config=replace(plan.config, skip=skip)))
        with trunk.open_store(cache=True) as store:
            trunk.compute(dict.fromkeys(readable, (view,)), store)
        assert decoded == [], "all are in the cache"
        with trunk.open_store(cache=False) as store:
            trunk.compute(dict.fromkeys(readable, (view,)), store)
            alone = store.rows([trunk.key(record.digest, view) for record in readable])[np.arange(47)]
        np.testing.assert_array_equal(part, alone.reshape(47, -1))
        decoded.clear()


@pytest.mark.tensorflow
def test_chosen_by_a_sample_of_many(
    tiny_weights: Path, image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training images only, each content once, at most MOST_IMAGES, whatever the order of the files."""
    from finetune.training import cut_features

    data = image_folder(stripes=20, dots=20)
    (data / "dots" / "copy.png").write_bytes((data / "dots" / "0.png").read_bytes())
    seen: list[tuple[str, ...]] = []
    original = cut_features.cut_features
    monkeypatch.setattr(
        cut_features,
        "cut_features",
        lambda p, s, records: (seen.append(tuple(records)), original(p, s, records))[1],
    )
    dataset = read_data(data, 0.2)
    config = TrainConfig(data=data, skip=("auto",), weights=str(tiny_weights))
    make_plan(config, dataset)
    monkeypatch.setattr(depth, "MOST_IMAGES", 12)
    make_plan(config, replace(dataset, records=dataset.records[::-1]))
    train = {record.digest for record in dataset.records if record.split == "train"}
    assert {record.digest for record in seen[0]} == train
    assert [len(records) for records in seen] == [len(train), 12]
    assert [r.digest for r in seen[1]] == [r.digest for r in seen[0]][:12]


@pytest.mark.tensorflow
def test_no_picture_can_be_read(
    tiny_weights: Path, image_folder: Callable[..., Path], break_png: Callable[[Path], None], tmp_path: Path
) -> None:
    data = image_folder(stripes=3, dots=3)
    for image in data.rglob("*.png"):
        break_png(image)
        image.write_bytes(image.read_bytes() + str(image).encode())  # each its own content
    config = TrainConfig(data=data, out=tmp_path / "run", skip=("auto",), weights=str(tiny_weights))
    with pytest.raises(DataError, match="no readable image to train on for class 'dots', 'stripes'"):
        training.train(config)
    assert not (tmp_path / "run").exists()
