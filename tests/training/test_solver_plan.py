"""The plan of a training by a Caffe solver: layers, starting values, options that repeat it, its text, what changed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.caffe_prototxt import net_text, write_solver

from finetune.config import TrainConfig
from finetune.data.augment import LEVELS
from finetune.data.dataset import Dataset, Record
from finetune.errors import RunError, UsageError
from finetune.model import Model
from finetune.networks import build
from finetune.training.describe import describe
from finetune.training.facts import check_unchanged, facts
from finetune.training.make_plan import plan_layers
from finetune.training.method import method
from finetune.training.plan import Plan
from finetune.training.train import dry_run, find_rate

ALL = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")
NAMES = {"fc8": "fc8_style"}
DATASET = Dataset((Record(Path("a.png"), 0, "train", "ab"),), ("a", "b", "c"))


@pytest.fixture
def solver(tiny_model: Model, tmp_path: Path) -> Path:
    """A solver for the tiny model, whose net gives fc8 a name of its own."""
    return write_solver(tmp_path, net_text(tiny_model.network, NAMES))


def plan_for(solver: Path, weights: Path | str, **options: Any) -> Plan:
    return plan_layers(TrainConfig(data=Path("images"), weights=str(weights), solver=solver, **options), 3, images=10)


def test_all_layers_but_the_renamed_one_are_loaded(tiny_weights: Path, tiny_model: Model, solver: Path) -> None:
    plan = plan_for(solver, tiny_weights)
    assert (plan.skip, plan.trainable) == (("fc8",), ALL[:-1])
    assert plan.solver is not None
    assert plan.stages[0].epochs == 4
    assert plan.augmentation == LEVELS["light"]
    assert plan.network.preprocessing.mean == (104, 117, 123)
    np.testing.assert_array_equal(plan.weights["fc7/kernel"], tiny_model.weights["fc7/kernel"])
    assert not np.array_equal(plan.weights["fc8/kernel"], tiny_model.weights["fc8/kernel"])
    assert (plan.weights["fc8/bias"] == 1).all(), "as its filler says"


def test_the_options_of_a_run_repeat_it(tiny_weights: Path, solver: Path) -> None:
    plan = plan_for(solver, tiny_weights)
    again = plan_layers(TrainConfig.from_json(plan.config.to_json()), 3, images=10)
    assert again.config == plan.config
    assert (again.solver, again.stages, again.skip) == (plan.solver, plan.stages, plan.skip)


def test_skip_and_train_count_more_than_the_net(tiny_weights: Path, solver: Path) -> None:
    plan = plan_for(solver, tiny_weights, skip=("fc7", "fc8"), train=("fc6",))
    assert (plan.skip, plan.trainable) == (("fc7", "fc8"), ("fc6",))
    assert (plan_for(solver, tiny_weights, skip=()).skip) == ()


def test_frozen_layers(tiny_weights: Path, tiny_model: Model, tmp_path: Path) -> None:
    frozen = dict.fromkeys(ALL[:6], (0, 0))
    solver = write_solver(tmp_path, net_text(tiny_model.network, NAMES, frozen))
    plan = plan_for(solver, tiny_weights)
    assert plan.trained == ("fc7", "fc8")
    assert {name.split("/")[0] for name in plan.frozen} == set(ALL[:6])
    with pytest.raises(UsageError, match="conv1 has lr_mult 0, so it would not be trained, but it is in --train;"):
        plan_for(solver, tiny_weights, train=("all",))
    nothing = write_solver(tmp_path, net_text(tiny_model.network, None, dict.fromkeys(ALL, (0, 0))))
    with pytest.raises(UsageError, match="nothing would be trained: name a layer to train fresh with --skip, or"):
        plan_for(nothing, tiny_weights)


@pytest.mark.slow
def test_from_scratch_by_the_fillers(tiny_model: Model, tmp_path: Path) -> None:
    net = net_text(build("alexnet", {"num_classes": 3}), NAMES)
    plan = plan_for(write_solver(tmp_path, net), "none")
    assert plan.skip == ALL
    assert plan.config.optimizer == "sgd"
    assert plan.weights["fc6/kernel"].std() == pytest.approx(0.01, rel=0.01)


def test_another_network_is_refused_before_weights_are_loaded(tiny_weights: Path, tmp_path: Path) -> None:
    net = net_text(build("caffenet", {"num_classes": 3, "input_size": 67, "fc_units": 8}))
    with pytest.raises(UsageError, match=r"expected the layers of alexnet, norm1 \(.*, but found pool1 "):
        plan_for(write_solver(tmp_path, net), tiny_weights)


def test_the_plan_in_words(tiny_weights: Path, solver: Path) -> None:
    plan = plan_for(solver, tiny_weights)
    assert list(method(plan))[:2] == [
        "training: 10 iterations (4 epochs) in batches of 4, dropout 0.5, seed 0; keeps the last epoch",
        "optimizer: Caffe's SGD, momentum 0.9, learning rate 0.001 by the policy step (gamma 0.1, stepsize 4), weight "
        "decay 0.0005",
    ]
    lines = describe(plan, DATASET).splitlines()
    rates = {line.split()[0]: line.split("  ")[-1].strip() for line in lines if line.startswith(("conv1 ", "fc8 "))}
    assert rates == {"conv1": "0.001, bias 0.002", "fc8": "0.01, bias 0.02"}


def test_a_solver_that_has_changed_ends_a_resume(tiny_weights: Path, tiny_model: Model, solver: Path) -> None:
    started = facts(plan_for(solver, tiny_weights), DATASET)
    check_unchanged(started, DATASET.class_names, plan_for(solver, tiny_weights), DATASET)
    write_solver(solver.parent, net_text(tiny_model.network, NAMES), gamma=0.2)
    with pytest.raises(RunError) as error:
        check_unchanged(started, DATASET.class_names, plan_for(solver, tiny_weights), DATASET)
    assert str(error.value) == (
        "the files of the solver have changed since the run started, so it cannot be resumed; start a new run"
    )


def test_runs_from_before_solvers_resume(tiny_weights: Path) -> None:
    plan = plan_layers(TrainConfig(data=Path("images"), weights=str(tiny_weights), skip=("fc8",)), 3)
    started = {name: value for name, value in facts(plan, DATASET).items() if name != "solver_sha256"}
    check_unchanged(started, DATASET.class_names, plan, DATASET)


def test_no_search_for_a_rate(solver: Path) -> None:
    with pytest.raises(UsageError) as error:
        find_rate(TrainConfig(data=Path("images"), solver=solver))
    assert str(error.value) == "--find-lr tries learning rates, and --solver has its own; omit one of them"


def test_a_solver_is_not_for_a_probe(solver: Path) -> None:
    assert not TrainConfig(data=Path("images"), solver=solver).is_probe
    with pytest.raises(UsageError, match="--probe and --solver cannot both be given: a probe needs no gradient"):
        replace(TrainConfig(data=Path("images"), solver=solver), probe="auto")


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_cost_counts_iterations(tiny_model: Model, tiny_weights: Path, image_folder: Any, tmp_path: Path) -> None:
    """10 iterations of 4 of 12 images in four epochs, the last of which has one: 10 steps, not 12."""
    network = build("alexnet", {**tiny_model.network.options, "num_classes": 2})
    path = write_solver(tmp_path / "solver", net_text(network, NAMES))
    config = TrainConfig(data=image_folder(stripes=8, dots=8), weights=str(tiny_weights), solver=path)
    text = dry_run(config)
    assert "training: 10 iterations (4 epochs) in batches of 4" in text
    assert " and 10 steps, " in text
