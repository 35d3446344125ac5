"""The result for one image: its label and probability, or the reason why there are none."""

from pathlib import Path

import pytest

from finetune.errors import ImageError
from finetune.prediction import Prediction, Score


def test_label_and_probability_are_those_of_the_first_class() -> None:
    prediction = Prediction(Path("a.jpg"), (Score(1, "bees", 0.75), Score(0, "ants", 0.25)))
    assert (prediction.label, prediction.probability) == ("bees", 0.75)


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (
            Prediction(Path("a.jpg"), error="the file is empty"),
            "a.jpg has no label (the file is empty); check prediction.error first",
        ),
        (Prediction(None, error="damaged"), "the image has no label (damaged); check prediction.error first"),
        (
            Prediction("a.jpg"),
            "a.jpg has no label (no classes were asked for); check prediction.error first",
        ),
    ],
)
def test_an_image_that_was_not_read_has_neither(prediction: Prediction, message: str) -> None:
    for name in ("label", "probability"):
        with pytest.raises(ImageError) as error:
            getattr(prediction, name)
        assert str(error.value) == message
