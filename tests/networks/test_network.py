"""What a network says about its layers, on a tiny one."""

import pytest

from finetune.data.preprocessing import Preprocessing
from finetune.errors import UsageError
from finetune.networks import Network
from finetune.networks.layers import BatchNorm, Conv, Dense, Dropout, MaxPool


def tiny(input_size: int = 8) -> Network:
    return Network(
        name="tiny",
        options={"num_classes": 3, "input_size": input_size},
        preprocessing=Preprocessing(size=input_size, mean=(0.0, 0.0, 0.0)),
        layers=(
            Conv("conv1", 4, 3),
            BatchNorm("bn1"),
            MaxPool("pool1", 2, 2),
            Dense("fc6", 5),
            Dropout("drop6"),
            Dense("fc8", 3, relu=False),
        ),
    )


def test_each_step_takes_the_shape_of_the_one_before() -> None:
    shapes = [(step.layer.name, step.input_shape, step.output_shape) for step in tiny().steps()]
    assert shapes == [
        ("conv1", (8, 8, 3), (6, 6, 4)),
        ("bn1", (6, 6, 4), (6, 6, 4)),
        ("pool1", (6, 6, 4), (3, 3, 4)),
        ("fc6", (3, 3, 4), (5,)),
        ("drop6", (5,), (5,)),
        ("fc8", (5,), (3,)),
    ]


def test_statistics_are_parameters_but_not_trainable() -> None:
    assert tiny().parameters() == (27 * 4 + 4) + 4 * 4 + (36 * 5 + 5) + (5 * 3 + 3)
    assert tiny().parameters() - tiny().trainable_parameters() == 2 * 4


def test_weights_are_named_by_layer_in_forward_order() -> None:
    assert list(tiny().weight_shapes()) == [
        "conv1/kernel",
        "conv1/bias",
        "bn1/gamma",
        "bn1/beta",
        "bn1/moving_mean",
        "bn1/moving_variance",
        "fc6/kernel",
        "fc6/bias",
        "fc8/kernel",
        "fc8/bias",
    ]
    assert tiny().weighted_layers() == ["conv1", "bn1", "fc6", "fc8"]


def test_input_and_classes() -> None:
    assert tiny().input_shape == (8, 8, 3)
    assert tiny().num_classes == 3


@pytest.mark.parametrize(
    ("trained", "head"),
    [
        (("fc8",), ["drop6", "fc8"]),  # the dropout before the first trained layer differs at every step
        (("fc6", "fc8"), ["fc6", "drop6", "fc8"]),
        (("bn1",), ["bn1", "pool1", "fc6", "drop6", "fc8"]),
        (("conv1",), ["conv1", "bn1", "pool1", "fc6", "drop6", "fc8"]),
        ((), []),
    ],
)
def test_split_into_trunk_and_head(trained: tuple[str, ...], head: list[str]) -> None:
    trunk, rest = tiny().split(trained)
    assert [layer.name for layer in rest] == head
    assert trunk + rest == tiny().layers


def test_check_layers_returns_forward_order() -> None:
    assert tiny().check_layers(("fc8", "conv1"), "--train") == ("conv1", "fc8")


@pytest.mark.parametrize(("name", "suggestion"), [("fc9", "did you mean fc8?"), ("pool1", "with weights")])
def test_check_layers_rejects_layers_without_weights(name: str, suggestion: str) -> None:
    with pytest.raises(UsageError) as caught:
        tiny().check_layers((name,), "--skip")
    message = str(caught.value)
    assert message.startswith(f"--skip: tiny has no layer '{name}' with weights")
    assert suggestion in message
    assert message.endswith("its layers are conv1, bn1, fc6, fc8")


def test_too_small_an_input_names_the_layer_where_nothing_is_left() -> None:
    with pytest.raises(UsageError, match=r"nothing is left after pool1 with .*; use larger values"):
        tiny(3)


def test_a_probe_reads_the_last_pooling_or_a_fully_connected_layer_but_the_last() -> None:
    assert tiny().probe_layers() == ["pool1", "fc6"]


def test_cut_after_a_layer() -> None:
    cut = tiny().cut("pool1")
    assert [layer.name for layer in cut.layers] == ["conv1", "bn1", "pool1", "fc8"]
    assert cut.weight_shapes()["fc8/kernel"] == (3 * 3 * 4, 3)
    assert cut.options == {"num_classes": 3, "input_size": 8, "cut_after": "pool1"}
    assert [layer.name for layer in tiny().cut("fc6").layers] == ["conv1", "bn1", "pool1", "fc6", "fc8"]


@pytest.mark.parametrize("after", ["fc8", "pool", "conv2"])
def test_cuts_that_are_refused(after: str) -> None:
    with pytest.raises(UsageError, match=rf"tiny cannot be cut after '{after}'.*; expected one of conv1, bn1, pool1, "):
        tiny().cut(after)
