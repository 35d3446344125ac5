"""What a training says before it starts."""

from pathlib import Path

from finetune.config import TrainConfig
from finetune.data.dataset import Dataset, Record
from finetune.runs.run import Run
from finetune.training.make_plan import plan_layers
from finetune.training.opening import opening


def dataset(classes: int, val: int) -> Dataset:
    """Two images to train on in each class, and some to validate with."""
    names = tuple(f"c{label}" for label in range(classes))
    train = [Record(Path(f"{n}.png"), n // 2, "train", str(n)) for n in range(2 * classes)]
    return Dataset((*train, *(Record(Path(f"v{n}.png"), 0, "val", f"v{n}") for n in range(val))), names)


def lines(tiny_weights: Path, data: Dataset, **options: object) -> list[str]:
    config = TrainConfig(data=Path("photos"), weights=str(tiny_weights), **options)  # type: ignore[arg-type]
    plan = plan_layers(config, len(data.class_names))
    return opening(plan, data, Run(Path("runs/x"))).splitlines()


def test_a_probe(tiny_weights: Path) -> None:
    """Four training images with their mirror images, and three to validate: 11 forward passes."""
    assert lines(tiny_weights, dataset(2, 3)) == [
        "data      photos: 2 classes (c0, c1); 4 images to train on, 3 to validate",
        f"network   alexnet, weights {tiny_weights.name}",
        "training  linear probe: a new fc8 on the best of pool5, fc6, fc7; all else frozen",
        "run       runs/x",
        "cost      up to 11 forward passes of the frozen layers, then the fit",
    ]


def test_a_probe_on_a_layer(tiny_weights: Path) -> None:
    found = lines(tiny_weights, dataset(2, 0), probe="conv5")
    assert found[0] == "data      photos: 2 classes (c0, c1); 4 images to train on, none held out"
    assert found[2] == "training  linear probe: a new fc8 on conv5; all else frozen"


def test_by_gradient(tiny_weights: Path) -> None:
    """What it costs is measured and said later."""
    found = lines(tiny_weights, dataset(7, 1), skip=("fc8",), train=("fc7",), epochs=3)
    assert found == [
        "data      photos: 7 classes (c0, c1, c2, c3, c4 and 2 more); 14 images to train on, 1 to validate",
        f"network   alexnet, weights {tiny_weights.name}",
        "training  fc7, fc8 fresh; 3 epochs in batches of 32, dropout 0.5, seed 0; keeps the last epoch",
        "run       runs/x",
    ]
