"""The same seed gives the same bits, with any number of reading threads and any order in which they finish."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from finetune.classifier import load
from finetune.config import TrainConfig
from finetune.system import parallel
from finetune.training.train import train

FILES = ("model.safetensors", "history.csv", "manifest.csv", "metrics.json", "evaluation.json")


@pytest.fixture
def config(image_folder: Callable[..., Path], tiny_weights: Path, tmp_path: Path) -> TrainConfig:
    return TrainConfig(
        data=image_folder(stripes=8, dots=8), weights=str(tiny_weights), out=tmp_path / "0", epochs=2, views=0,
        mixup=0.2, augmentation="strong", batch_size=5, cache=False,
    )  # fmt: skip


@pytest.mark.tensorflow
@pytest.mark.slow
def test_training_gives_the_same_bits_with_one_reader_and_with_seven(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []
    for number, readers in enumerate((1, 7)):
        monkeypatch.setattr(os, "cpu_count", lambda readers=readers: readers)
        runs.append(train(replace(config, out=tmp_path / str(number))))
    for name in FILES:
        assert (runs[0].path / name).read_bytes() == (runs[1].path / name).read_bytes(), name


def test_results_keep_their_order_when_later_ones_finish_first() -> None:
    generator = random.Random(0)

    def return_later(number: int) -> int:
        time.sleep(generator.random() / 1000)
        return number

    assert list(parallel.parallel_map(return_later, range(300))) == list(range(300))


@pytest.mark.tensorflow
@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True])
def test_a_prediction_does_not_depend_on_the_order_of_images(
    image_folder: Callable[..., Path], tiny_weights: Path, many: bool
) -> None:
    """In reverse order, with the same batch size, every image gets the same bits."""
    paths = sorted(image_folder(stripes=8, dots=8).rglob("*.png"))
    classifier = load(tiny_weights, many=many)
    forward = {prediction.path: prediction.scores for prediction in classifier.predict(paths, batch_size=4)}
    backward = {prediction.path: prediction.scores for prediction in classifier.predict(paths[::-1], batch_size=4)}
    assert forward == backward
