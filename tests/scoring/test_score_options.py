"""Options of scoring that contradict each other."""

import pytest

from finetune.errors import UsageError
from finetune.scoring.score_options import ScoreOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "--top must be 1 or more, not 0"),
        ({"batch_size": 0}, "--batch-size must be 1 or more, not 0"),
        ({"abstain_below": 1.5}, "--abstain-below must lie between 0 and 1, not 1.5"),
        ({"pool": "mean"}, "--pool is only for --features LAYERS; omit it"),
        ({"dtype": "float16"}, "--dtype is only for --features LAYERS; omit it"),
        ({"features": ("fc7",), "ten_crop": True}, "--features writes no classes; omit --ten-crop"),
        ({"features": ("fc7",), "probabilities": True}, "--features writes no classes; omit --probabilities"),
        ({"features": ("fc7",), "abstain_below": 0.5}, "--features writes no classes; omit --abstain-below"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ScoreOptions(**options)  # type: ignore[arg-type]
