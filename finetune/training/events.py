"""The history as events for TensorBoard, which need not be installed."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from finetune.training.state import Epoch

_SCALAR = tf.compat.v1.SummaryMetadata(plugin_data={"plugin_name": "scalars"}, data_class=1)  # as tf.summary.scalar's


class Events:
    """The folder of events of one run."""

    def __init__(self, folder: Path) -> None:
        """Empty the folder: the epochs of a resumed run are written again with its next one."""
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = tf.summary.create_file_writer(str(folder))
        self._written = 0

    def write(self, history: Sequence[Epoch]) -> None:
        """Write the epochs that are not written yet: one scalar for every column, under its name."""
        with self._writer.as_default():
            for epoch in history[self._written :]:
                for name, value in zip(Epoch._fields[1:], epoch[1:], strict=True):
                    tf.summary.write(name, tf.constant(value, tf.float32), step=epoch.epoch, metadata=_SCALAR)
        self._writer.flush()
        self._written = len(history)
