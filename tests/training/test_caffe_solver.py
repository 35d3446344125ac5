"""solver.prototxt: the options that it makes, where its net is looked for, and what is refused, by message."""

from pathlib import Path
from typing import Any

import pytest
from support.caffe_prototxt import net_text, solver_text, write_solver

from finetune.config import TrainConfig
from finetune.errors import UsageError
from finetune.networks import build
from finetune.training.caffe_solver import read_solver, with_solver

NETWORK = build("alexnet", {"num_classes": 2, "input_size": 67, "fc_units": 4})
NET = net_text(NETWORK)


def config(path: Path, **options: Any) -> TrainConfig:
    return TrainConfig(data=Path("images"), solver=path, **options)


def test_the_options_of_a_solver(tmp_path: Path) -> None:
    """10 iterations of 4 of 10 images: three iterations see every image once, so the fourth epoch has one."""
    solver = read_solver(write_solver(tmp_path, NET))
    assert (solver.momentum, solver.weight_decay, solver.policy.stepsize) == (0.9, 0.0005, 4)
    found = with_solver(config(solver.path), solver, images=10)
    assert (found.optimizer, found.learning_rate, found.weight_decay) == ("sgd", 0.001, 0.0005)
    assert (found.batch_size, found.epochs, found.dropout, found.seed) == (4, 4, 0.5, 0)
    assert (found.views, found.crop, found.flip) == (0, "random", True)
    assert with_solver(found, solver, images=10) == found, "the options repeat the run"
    assert not found.is_probe


@pytest.mark.parametrize(
    ("transform", "views"),
    [
        ("mirror: false", (1, None, None)),
        ("", (1, None, None)),
        ("mirror: true", (0, "center", True)),
        ("crop_size: 67", (0, "random", False)),
    ],
)
def test_the_views_of_a_net(tmp_path: Path, transform: str, views: tuple[Any, ...]) -> None:
    solver = read_solver(write_solver(tmp_path, NET.replace("mirror: true crop_size: 67", transform)))
    found = with_solver(config(solver.path), solver, images=10)
    assert (found.views, found.crop, found.flip) == views


def test_numbers_that_are_optional(tmp_path: Path) -> None:
    """Batches of iter_size · batch_size images have the same mean gradient; without dropout layers, no dropout."""
    net = net_text(NETWORK, dropout=False)
    path = write_solver(tmp_path, net, momentum=None, weight_decay=None, iter_size=3, random_seed=5)
    solver = read_solver(path)
    found = with_solver(config(path), solver, images=24)
    assert (solver.momentum, found.weight_decay, found.batch_size, found.epochs) == (0.0, 0.0, 12, 5)
    assert (found.dropout, found.seed) == (0.0, 5)


def test_where_the_net_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Caffe from the working directory, otherwise next to the solver: BVLC's names begin at Caffe's folder."""
    named = '"models/style/train_val.prototxt"'
    path = write_solver(tmp_path / "elsewhere", NET, net=named)
    assert read_solver(path).net.path == path.with_name("train_val.prototxt")
    folder = tmp_path / "caffe" / "models" / "style"
    write_solver(folder, NET.replace("batch_size: 4", "batch_size: 5"))
    monkeypatch.chdir(tmp_path / "caffe")
    assert read_solver(path).batch_size == 5
    path.write_text(solver_text(net=None, train_net=named))
    assert read_solver(path).batch_size == 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"net": None}, "expected net, the file of the net to train, but found none; name one"),
        ({"train_net": '"a"'}, "expected net, the file of the net to train, but found net and train_net; name one"),
        ({"net": 3}, "net: expected a text, not 3"),
        ({"net_param": "{ }"}, "net_param cannot be honoured; remove it, or train with Caffe"),
        ({"train_state": "{ }"}, "train_state cannot be honoured; remove it, or train with Caffe"),
        ({"weights": '"a.caffemodel"'}, "weights cannot be honoured; remove it, or train with Caffe"),
        ({"type": '"Adam"'}, "type: expected SGD, not Adam; train with Caffe"),
        ({"solver_type": "NESTEROV"}, "solver_type: expected SGD, not NESTEROV; train with Caffe"),
        ({"regularization_type": '"L1"'}, "regularization_type: expected L2, not L1; train with Caffe"),
        ({"clip_gradients": 10}, "clip_gradients cannot be honoured; remove it, or train with Caffe"),
        ({"momentum2": 0.999}, "momentum2 cannot be honoured (did you mean momentum?); remove it, or train with Caffe"),
        ({"delta": 0.1}, "delta cannot be honoured; remove it, or train with Caffe"),
        ({"rms_decay": 0.1}, "rms_decay cannot be honoured; remove it, or train with Caffe"),
        ({"stepsise": 4}, "stepsise cannot be honoured (did you mean stepsize?); remove it, or train with Caffe"),
        ({"momentum": 1},
         "expected momentum of 0 or more and below 1 and weight_decay of 0 or more, not 1 and 0.0005"),
        ({"iter_size": 100000}, "expected batches of 65,536 images at most, not 400,000"),
        ({"random_seed": 1.5}, "random_seed: expected a whole number from 0 to 2147483647, not 1.5"),
        ({"weight_decay": -1},
         "expected momentum of 0 or more and below 1 and weight_decay of 0 or more, not 0.9 and -1"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        read_solver(write_solver(tmp_path, NET, **changes))
    assert str(error.value) == f"solver.prototxt: {message}"


def test_what_says_the_default_is_accepted(tmp_path: Path) -> None:
    read_solver(
        write_solver(tmp_path, NET, type='"SGD"', solver_type="SGD", regularization_type='"L2"', clip_gradients=-1)
    )


def test_a_net_that_is_missing(tmp_path: Path) -> None:
    path = write_solver(tmp_path, NET, net='"other.prototxt"')
    with pytest.raises(UsageError) as error:
        read_solver(path)
    assert str(error.value) == (
        f"solver.prototxt: net 'other.prototxt' is neither in the working directory nor next to {path}; put it there"
    )


def test_two_rates_of_dropout_are_refused(tmp_path: Path) -> None:
    solver = read_solver(write_solver(tmp_path, NET.replace("dropout_ratio: 0.5", "dropout_ratio: 0.2", 1)))
    with pytest.raises(UsageError) as error:
        with_solver(config(solver.path), solver, images=10)
    assert str(error.value) == "train_val.prototxt: expected one dropout_ratio, not 0.2, 0.5; make them equal"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learning_rate", 0.01), ("weight_decay", 0.1), ("batch_size", 8), ("epochs", 9), ("dropout", 0.2),
        ("optimizer", "adam"), ("schedule", "step"), ("warmup", 1), ("layer_lr", ("0.5",)), ("stages", "fc8:1"),
        ("views", 2), ("augmentation", "strong"), ("crop", "resized"), ("flip", False), ("lighting", 0.1),
        ("color_jitter", 0.1),
    ],
)  # fmt: skip
def test_options_that_the_solver_determines(tmp_path: Path, name: str, value: Any) -> None:
    solver = read_solver(write_solver(tmp_path, NET))
    with pytest.raises(UsageError) as error:
        with_solver(config(solver.path, **{name: value}), solver, images=10)
    flag = f"--{name.replace('_', '-')}"
    assert str(error.value) == (
        f"{flag} and --solver cannot both be given: the solver determines it; omit {flag}, or change solver.prototxt"
    )


def test_options_that_a_solver_leaves_open(tmp_path: Path) -> None:
    solver = read_solver(write_solver(tmp_path, NET))
    options = {"seed": 3, "label_smoothing": 0.1, "ema": 0.9, "patience": 2, "class_weights": "balanced", "mixup": 0.1}
    found = with_solver(config(solver.path, **options), solver, images=10)
    assert {name: getattr(found, name) for name in options} == options
