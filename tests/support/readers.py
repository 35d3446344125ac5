"""Every reader of untrusted files, with valid files to damage, for both fuzzers.

A reader may return, or raise an error of this package. Anything else is a fault.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from finetune.cli.config_file import read_config
from finetune.config import TrainConfig
from finetune.data import idx, lists
from finetune.data.dataset import Dataset, Record, Skipped
from finetune.data.decode import decode
from finetune.data.inputs import expand
from finetune.data.network_input import to_input
from finetune.data.preprocessing import Preprocessing
from finetune.data.split import to_check
from finetune.evaluation.assess import assess
from finetune.evaluation.evaluate import _own_images
from finetune.evaluation.report import with_thumbnails, write_report
from finetune.formats.npy_file import write_npy
from finetune.formats.npz_file import write_npz
from finetune.formats.read_weights import read_weights
from finetune.formats.safetensors_file import write_safetensors
from finetune.model import Model, load_model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.pretrained.inspect import inspect_weights
from finetune.runs.run import Run, open_run
from finetune.training.checkpoint import load_state, save_state
from finetune.training.state import Epoch, HeadValues, Part, State
from finetune.training.store import FeatureStore, Key
from support import encoded_images as encoded
from support import keras_files, onnx_files, pytorch_files
from support import weights_bytes as handmade
from support.runs import started

PREPROCESSING = Preprocessing(size=8, mean=(0.0, 0.0, 0.0))
EPOCHS = (Epoch(1, 0.1, 1.0, 0.5, 1.0, 0.5), Epoch(2, 0.05, 0.5, 1.0, 0.7, 0.75))


RUN_FILES = (
    "config.json", "manifest.csv", "skipped.csv", "classes.txt", "history.csv", "metrics.json", "evaluation.json",
    "plan.txt", "augmented.png", "model.safetensors", "checkpoint/last.safetensors",
)  # fmt: skip


class Reader(NamedTuple):
    """A function that reads a file, and valid files; `read` gets the path of a damaged one in its own folder."""

    read: Callable[[Path], object]
    seeds: Mapping[str, bytes]


def read_image(path: Path) -> None:
    image = decode(path.read_bytes()).image
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
    assert to_input(image, PREPROCESSING).shape == (8, 8, 3)


def images() -> dict[str, bytes]:
    forms = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP", "tiff": "TIFF"}
    forms |= {"ppm": "PPM", "jp2": "JPEG2000", "avif": "AVIF"}
    made = {f"a.{ending}": encoded.encode(encoded.RGB, form) for ending, form in forms.items()}
    return {**made, "alpha.png": encoded.encode(encoded.RGBA, "PNG"), "hand.tiff": encoded.tiff(encoded.blocks(4), 2)}


def read_any_weights(path: Path) -> None:
    inspect_weights(path)
    for tensor in read_weights(path).tensors.values():
        float(tensor.sum(dtype=np.float64))
    load_model(path)


def weights(folder: Path) -> dict[str, bytes]:
    tensors = handmade.TENSORS
    for name, write in (("a.npy", write_npy), ("a.npz", write_npz), ("a.safetensors", write_safetensors)):
        write(folder / name, tensors)  # type: ignore[operator]
    pickled, storages = pytorch_files.described_state(pytorch_files.state_dict())
    layer = handmade.layer("fc8", "InnerProduct", handmade.blob(handmade.FLOATS), handmade.blob(handmade.FLOATS[0]))
    dense = {"_layer/fc8/vars/0": handmade.FLOATS, "_layer/fc8/vars/1": handmade.FLOATS[0]}
    return {
        **{path.name: path.read_bytes() for path in folder.iterdir()},
        "python2.npy": handmade.python2_npy(handmade.python2_layers({**tensors, "fc7/bias": np.ones(40, np.float32)})),
        "a.pth": pytorch_files.zipped(pickled, storages),
        "old.pth": pytorch_files.stream(pickled, storages),
        "a.caffemodel": handmade.field(1, "AlexNet") + layer,
        "a.onnx": onnx_files.model().SerializeToString(),
        "a.h5": keras_files.hdf5({"fc8/fc8/kernel:0": handmade.FLOATS, "fc8/fc8/bias:0": handmade.FLOATS[0]}),
        "a.keras": keras_files.zipped(dense, keras_files.configured(("Dense", "fc8"))),
    }


def tiny_model() -> Model:
    """Return a model of 24 kB; of the smallest other network, the tower alone has 2.5 million parameters."""
    network = build("alexnet-mnist", {"num_classes": 2, "input_size": 8, "fc_units": 2})
    return Model(network, fresh_weights(network, tuple(network.weighted_layers()), seed=0), ("ants", "bees"))


def read_list(path: Path) -> None:
    for read in (lists.table_files, lists.list_files):
        try:
            read(path, to_check)
        finally:
            list(expand([f"@{path}"]))


def read_csv(path: Path) -> None:
    lists.table_files(path, to_check)
    list(expand([str(path)]))


def read_toml(path: Path) -> None:
    TrainConfig.from_json({"data": "x", **read_config(path)})


def write_run(folder: Path) -> Run:
    """Write a finished run without training."""
    model = tiny_model()
    records = tuple(Record(folder / f"{i}.png", i % 2, "val" if i < 4 else "train", "0" * 64) for i in range(8))
    dataset = Dataset(records, model.class_names, (Skipped(folder / "=x.png", "the file is empty"),))
    config = TrainConfig(data=folder, network="alexnet-mnist", weights="none", epochs=2)
    run = started(folder, {**config.to_json(), "version": "0", "versions": {"finetune": "0"}}, dataset)
    run.write_history(Epoch._fields, EPOCHS)
    run.write_model(model)
    best = EPOCHS[-1]._asdict()
    run.write_metrics({**best, "best_epoch": 2, "epochs": 2, "interrupted": False, "images": {"train": 4, "val": 4}})
    logits = np.array([[2, 0], [0, 1], [0, 1], [0, 3]], np.float32)
    figures = assess([(r.path, r.label) for r in records[:4]], logits, model.class_names, 1.5)
    (run.path / "plan.txt").write_text("fc8 fresh\n")
    run.write_augmented(encoded.encode(encoded.RGB, "PNG"))
    (run.path / "evaluation.json").write_text(json.dumps(with_thumbnails(figures.to_json())))
    values = HeadValues({"fc8/bias": np.ones(2, np.float32)}, {}, (np.ones(2, np.float32),))
    save_state(run.checkpoint, State(values, EPOCHS, {"fc8/bias": np.ones(2, np.float32)}, 0, Part()))
    write_report(run.path)
    return run


def read_run(path: Path) -> None:
    """Read every file that commands read from a run, even if another is damaged."""
    run = open_run(path)
    for read in (
        lambda: write_report(path),
        lambda: _own_images(run, ("ants", "bees"), None),
        lambda: load_state(run.checkpoint),
        lambda: read_config(path / "config.json"),
        lambda: lists.table_files(path / "manifest.csv", to_check),
    ):
        with allowed():
            read()


@contextmanager
def allowed() -> Iterator[None]:
    """Accept the errors of this package, each of which must be one line of reasonable length."""
    from finetune.errors import FinetuneError

    try:
        yield
    except FinetuneError as error:
        if not 10 < len(str(error)) < 1000:
            raise AssertionError(f"no clear line: {error}") from None


def cache(folder: Path) -> dict[str, bytes]:
    """Return a segment of the feature cache under its name."""
    store = FeatureStore(folder)
    for number in range(3):
        store.keep([Key(f"{number:064x}", 0, "float32")], np.arange(4, dtype=np.float32)[None])
    store.flush()
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_cache(path: Path) -> None:
    """Read a segment; a damaged one is removed, and no row of it may come back changed."""
    store = FeatureStore(path.parent)
    keys = [key for key in (Key(f"{number:064x}", 0, "float32") for number in range(3)) if key in store]
    if keys:
        np.testing.assert_array_equal(store.rows(keys)[np.arange(len(keys))], [[0, 1, 2, 3]] * len(keys))


def model_file(folder: Path) -> bytes:
    save_model(folder / "model.safetensors", tiny_model())
    return (folder / "model.safetensors").read_bytes()


def idx_files() -> dict[str, bytes]:
    import gzip

    pixels = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4)
    return {"images": encoded.idx(pixels), "images.gz": gzip.compress(encoded.idx(pixels), mtime=0)}


def readers(folder: Path) -> dict[str, Reader]:
    """Return all readers by name; `folder` is for files that are written on the way."""
    places = {name: folder / name for name in ("weights", "cache", "model")}
    for place in places.values():
        place.mkdir(parents=True)
    rows = b'path,label,split\na.png,ants,train\n"b,c.png",bees,val\n\'=d.png,ants,train\n'
    toml = b'epochs = 3\nskip = ["fc7", "fc8"]\nlearning-rate = 0.01\nout = "runs/x"\nflip = true\n'
    return {
        "image": Reader(read_image, images()),
        "weights": Reader(read_any_weights, weights(places["weights"])),
        "model": Reader(load_model, {"model.safetensors": model_file(places["model"])}),
        "list": Reader(read_list, {"list.txt": b"# a list\na.png ants\nfolder/b c.png bees\n\xff.png ants\n"}),
        "csv": Reader(read_csv, {"list.csv": rows, "bom.csv": b"\xef\xbb\xbfpath, label\r\na.png, ants\r\n"}),
        "config": Reader(read_toml, {"a.toml": toml, "config.json": b'{"epochs": 3, "skip": ["fc8"], "mixup": 0.2}'}),
        "cache": Reader(read_cache, cache(places["cache"])),
        "idx": Reader(lambda path: idx.read_idx(path, 3), idx_files()),
    }
