"""Events as TensorBoard reads them: read back as the records of a TFRecord file."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from finetune.config import TrainConfig
from finetune.training.train import resume, train


def scalars(folder: Path) -> dict[tuple[str, int], float]:
    """(name, step) -> value of all events in a folder."""
    found = {}
    for path in folder.iterdir():
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_events_hold_the_history(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    config = TrainConfig(
        data=image_folder(stripes=4, dots=4),
        weights=str(tiny_weights),
        out=tmp_path / "run",
        epochs=2,
        tensorboard=True,
    )
    run = train(config)
    for _ in range(2):  # a run that is resumed writes its history again
        header, *lines = (run.path / "history.csv").read_text().splitlines()
        expected = {
            (name, epoch): float(value)
            for epoch, line in enumerate(lines, start=1)
            for name, value in zip(header.split(",")[1:], line.split(",")[1:], strict=True)
        }
        assert scalars(run.path / "tensorboard") == pytest.approx(expected)
        resume(run.path)


def test_none_without_the_option(tiny_weights: Path, image_folder: Callable[..., Path], tmp_path: Path) -> None:
    data = image_folder(stripes=3, dots=3)
    run = train(TrainConfig(data=data, weights=str(tiny_weights), out=tmp_path / "run", epochs=1))
    assert not (run.path / "tensorboard").exists()
