"""What --stages means."""

import pytest

from finetune.errors import UsageError
from finetune.networks import build
from finetune.training.stage_spec import Stage, parse_stages

NETWORK = build("alexnet")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def test_stages() -> None:
    assert parse_stages("fc8:10, fc6-fc8:2,all:5", NETWORK, ("fc8",)) == (
        Stage(("fc8",), 10),
        Stage(("fc6", "fc7", "fc8"), 2),
        Stage(LAYERS, 5),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fc8", "--stages: expected LAYERS:EPOCHS with 1 epoch or more, not 'fc8'"),
        ("fc8:0", "--stages: expected LAYERS:EPOCHS with 1 epoch or more, not 'fc8:0'"),
        ("fc8:ten", "--stages: expected LAYERS:EPOCHS with 1 epoch or more, not 'fc8:ten'"),
        ("fc8:1,,", "--stages: expected LAYERS:EPOCHS with 1 epoch or more, not ''"),
        ("fc7:3", "--stages: fc7:3 omits fc8, but fresh layers are trained from the first"),
        ("all:3,fc8:1", "--stages: fc8:1 omits conv1, but every stage trains what the one before it did"),
        ("fc8-fc6:1", "--stages: fc8-fc6 runs backwards; expected fc6-fc8"),
    ],
)
def test_stages_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_stages(text, NETWORK, ("fc8",))
    assert str(error.value) == message


def test_an_unknown_layer() -> None:
    with pytest.raises(UsageError, match=r"--stages: alexnet has no layer 'fc9' with weights \(did you mean fc8\?\)"):
        parse_stages("fc9:1", NETWORK, ())
