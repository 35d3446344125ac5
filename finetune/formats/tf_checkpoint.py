"""Checkpoints of TensorFlow 1, as tf.train.Saver writes them: NAME.index, and the values in NAME.data-00000-of-00001.

Read with TensorFlow's own reader, which verifies the checksum of every tensor.
"""

import re
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import Any

from finetune.errors import WeightsError
from finetune.formats.untrusted_text import reason
from finetune.formats.weights_file import WeightsFile
from finetune.system.mapped import map_file
from finetune.system.quiet import import_tensorflow, silence

TABLE_END = bytes.fromhex("57fb808b247547db")  # kTableMagicNumber of tensorflow/core/lib/io/format.h

_PART = re.compile(r"(.+)\.(?:data-\d{5}-of-\d{5}|meta)")
_LATEST = re.compile(rb'model_checkpoint_path:\s*"([^"]+)"')  # in the file `checkpoint`, which lists several
_COUNTERS = ("global_step", "beta1_power", "beta2_power")
_AVERAGE = "ExponentialMovingAverage"  # a weight too, and not one that the optimizer keeps for itself


def checkpoint_index(path: Path) -> Path:
    """Return the .index of a checkpoint, given as model.ckpt or as any of its files; any other path as it is.

    A file `checkpoint` names the latest one, which is looked for next to it: its own folder may have been moved.
    """
    if part := _PART.fullmatch(path.name):
        index = path.with_name(f"{part[1]}.index")
        return index if index.is_file() or not part[0].endswith(".meta") else path
    if path.name == "checkpoint" and path.is_file():
        latest = _LATEST.match(map_file(path))
        return path.with_name(f"{Path(latest[1].decode(errors='replace')).name}.index") if latest else path
    if path.exists() or not path.name:
        return path
    index = path.with_name(f"{path.name}.index")
    return index if index.is_file() else path


def checkpoint_data(index: Path) -> list[Path]:
    """Return the files with the values of a checkpoint; none if `index` is a file of another format."""
    name = index.name.removesuffix(".index")
    if name == index.name:
        return []
    pattern = re.compile(rf"{re.escape(name)}\.data-\d{{5}}-of-\d{{5}}")
    return sorted(path for path in index.parent.iterdir() if pattern.fullmatch(path.name))


def read_tf_checkpoint(path: Path) -> WeightsFile:
    """Return the variables of a checkpoint, given its .index, without what an optimizer keeps of each, and counters.

    Raises WeightsError if a file is missing or damaged, or a variable claims more than the files have.
    """
    files = checkpoint_data(path)
    if not files:
        raise WeightsError(
            f"{path.name}: it is the index of a TensorFlow checkpoint, but {path.name.removesuffix('.index')}.data-… "
            "is not next to it; copy all files of the checkpoint to one folder"
        )
    import_tensorflow()
    import tensorflow as tf

    try:
        with silence():
            reader = tf.train.load_checkpoint(str(path.with_name(path.name.removesuffix(".index"))))
            shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
            names = [name for name in sorted(shapes) if not _is_optimizers(name, shapes)]
            wanted = [name for name in names if types[name].is_floating]
            claimed = sum(prod(shapes[name]) * types[name].size for name in wanted)
            found = sum(file.stat().st_size for file in files)
            if claimed > found:
                raise WeightsError(
                    f"{path.name}: its variables take {claimed:,} bytes, but {files[0].name} has {found:,}: a file is "
                    "truncated or belongs to another checkpoint; copy them again"
                )
            tensors: dict[str, Any] = {name: reader.get_tensor(name) for name in wanted}
    except WeightsError:
        raise
    except Exception as error:  # TensorFlow raises ten kinds for damaged files, MemoryError for a size that it believes
        raise WeightsError(
            f"{path.name}: TensorFlow cannot read the checkpoint ({reason(error)}): a file is truncated or damaged; "
            "copy all its files again"
        ) from None
    others = tuple(name for name in names if name not in tensors)
    return WeightsFile(path, "tf_checkpoint", tensors, others=others)


def _is_optimizers(name: str, names: Collection[str]) -> bool:
    """Return whether a variable is one of the optimizer's: a counter, or a slot such as conv1/weights/Momentum."""
    owner, _, last = name.rpartition("/")
    return last in _COUNTERS or (owner in names and last != _AVERAGE)
