"""The plan as people see it before anything runs, and what it will cost."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from finetune.config import TrainConfig
from finetune.data.folder import read_folder
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.runs.run import Run
from finetune.training.describe import describe
from finetune.training.make_plan import plan_layers
from finetune.training.plan import Probe, ProbedLayer
from finetune.training.train import dry_run, train


def rows(text: str) -> dict[str, str]:
    """First word of a line -> the line, its spaces made single."""
    return {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.strip()}


def test_a_row_for_every_layer(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    data = image_folder(stripes=6, dots=4)
    config = TrainConfig(
        data=data, weights=str(tiny_weights), stages="fc8:2,fc6-fc8:3", layer_lr=("fc6=0.1",), learning_rate=0.01
    )
    plan = plan_layers(config, 2)
    found = rows(describe(plan, read_folder(data)))
    assert found["layer"] == "layer weights training shape parameters learning rate", "no column that stays empty"
    assert found["conv1"] == "conv1 loaded frozen 11×11×3×96 34,944"
    assert found["fc6"] == "fc6 loaded from epoch 3 256×8 2,056 0.001"
    assert found["fc7"] == "fc7 loaded from epoch 3 8×8 72 0.01"
    assert found["fc8"] == "fc8 fresh trained 8×2 18 0.01"
    assert (found["dots"], found["stripes"], found["all"]) == ("dots 3 1", "stripes 5 1", "all 2 classes 8 2")


def test_batch_norm_says_its_mode(image_folder: Callable[..., Path], tmp_path: Path) -> None:
    """A frozen one is in inference mode, a trained one moves its statistics."""
    network = build("alexnet-bn", {"num_classes": 2, "input_size": 67, "fc_units": 8})
    weights = fresh_weights(network, tuple(network.weighted_layers()), 1)
    save_model(tmp_path / "bn.safetensors", Model(network, weights, ("a", "b")))
    data = image_folder(stripes=2, dots=2)
    norms = [name for name in network.weighted_layers() if f"{name}/moving_mean" in network.weight_shapes()]
    config = TrainConfig(data=data, network="alexnet-bn", weights=str(tmp_path / "bn.safetensors"), train=(norms[-1],))
    plan = plan_layers(config, 2)
    found = rows(describe(plan, read_folder(data)))
    assert found["layer"].endswith("learning rate batch norm")
    assert found[norms[0]].endswith(" inference")
    assert found[norms[-1]].endswith(" batch statistics")
    assert not found["fc8"].endswith("inference")


def test_many_classes_are_not_all_shown(tiny_weights: Path, image_folder: Callable[..., Path]) -> None:
    data = image_folder(stripes=2, dots=2)
    config = TrainConfig(data=data, weights=str(tiny_weights))
    plan = plan_layers(config, 30)
    dataset = replace(read_folder(data), class_names=tuple(f"class{i}" for i in range(30)))
    text = describe(plan, dataset)
    assert "class19" in text
    assert "class20" not in text
    assert "(the first 20 classes are shown)" in text


def test_groups_are_counted_in_one_line(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    """Those in two splits are counted in the records, whoever divided them."""
    data = image_folder(stripes=6, dots=4)
    plan = plan_layers(TrainConfig(data=data, weights=str(tiny_weights)), 2)
    assert "groups" not in describe(plan, read_folder(data))
    grouped = read_folder(data, group_by=r"stripes/([0-2])|dots/\d")
    assert describe(plan, grouped).endswith("\ngroups: 3 and 7 images without a group; in two splits: none")
    records = tuple(record._replace(group="one") for record in grouped.records)
    assert describe(plan, replace(grouped, records=records)).endswith("\ngroups: 1; in two splits: 1")


def test_copies_are_counted_in_one_line(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    data = image_folder(stripes=6, dots=6)
    plan = plan_layers(TrainConfig(data=data, weights=str(tiny_weights)), 2)
    dataset = read_folder(data)
    assert "copies" not in describe(plan, dataset)
    digests = [record.digest for record in dataset.records]
    text = describe(plan, dataset.with_copies([digests[:3], digests[2:4], digests[10:]]))
    assert text.endswith(
        "\ncopies: 6 images are identical or nearly identical to others, in 2 groups; in two splits: none"
    )
    both = [record._replace(digest=digests[0]) for record in dataset.records]
    text = describe(plan, replace(dataset, records=tuple(both)))
    assert text.endswith("\ncopies: 12 images are identical to others, in 1 group; in two splits: 1")


def test_what_the_layer_of_a_probe_was_chosen_from(image_folder: Callable[..., Path], tiny_weights: Path) -> None:
    """A table in forward order, and below it the one new layer, which is fitted and has no learning rate."""
    data = image_folder(stripes=6, dots=4)
    dataset = read_folder(data)
    plan = plan_layers(TrainConfig(data=data, weights=str(tiny_weights), probe="auto"), 2)
    assert "probe on" not in describe(plan, dataset), "nothing is chosen yet"
    layers = (
        ProbedLayer("pool5", 0.3, 0.9751, 0.0104, 0.12345, 1.5, False),
        ProbedLayer("fc6", 10.0, 0.5, 0.1581, 0.1, 0.5, True),
    )
    probe = Probe(layers, 2000, dataset.records * 200, np.zeros((2000, 2)))
    assert probe.chosen is layers[1]
    lines = describe(replace(plan, network=plan.network.cut("fc6"), probe=probe), dataset).splitlines()
    assert lines[0].endswith("frozen: conv1, conv2, conv3, conv4, conv5, fc6; fresh and fitted: fc8")
    assert [" ".join(line.split()) for line in lines[1:10]] == [
        "training: logistic regression with an L2 penalty of strength 10 on fc6",
        "views: each image and its mirror image",
        "precision: float32",
        "",
        "probe on cross-validated accuracy log loss L2 strength",
        "pool5 97.5 ± 1.0 % 0.123 0.3",
        "fc6 50.0 ± 15.8 % 0.100 10 chosen",
        "(on 2,000 images that the probe did not see; chosen: the lowest log loss)",
        "",
    ]
    found = rows("\n".join(lines[10:]))
    assert found["fc6"] == "fc6 loaded frozen 256×8 2,056"
    assert found["fc8"] == "fc8 fresh fitted 8×2 18"
    assert "fc7" not in found


@pytest.mark.tensorflow
def test_dry_run_trains_and_writes_nothing(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    """40 training images of 3 views and 10 of validation: 130 forward passes, and 2 epochs of 5 batches."""
    data = image_folder(stripes=25, dots=25)
    config = TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "run", epochs=2, batch_size=8, views=3)
    text = dry_run(config)
    assert "fc8    fresh    trained" in text
    assert "cost of fc8: 130 forward passes of the frozen layers and 10 steps, about " in text
    assert not (tmp_path / "run").exists()
    assert "cost of fc8: 66 forward passes" in dry_run(config), "the two batches of the probe are in the cache"


@pytest.mark.tensorflow
def test_a_run_keeps_its_plan(
    tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = TrainConfig(
        data=image_folder(stripes=3, dots=3), weights=str(tiny_weights), out=tmp_path / "run", epochs=1
    )
    with caplog.at_level("INFO"):
        run: Run = train(config)
    plan = (run.path / "plan.txt").read_text()
    assert plan.splitlines()[1] == "training: 1 epoch in batches of 32, dropout 0.5, seed 0; keeps the last epoch"
    assert "conv5  loaded   frozen" in plan
    assert "cost      6 forward passes of the frozen layers and 1 steps, about " in caplog.text
    assert "conv5  loaded   frozen" not in caplog.text, "the tables are in plan.txt"
    assert "conv5  loaded   frozen" in (run.path / "report.html").read_text()
