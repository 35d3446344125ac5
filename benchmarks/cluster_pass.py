"""Features of the frozen layers by Ray against the local engine, in turns, on the two cores of this machine.

    python benchmarks/cluster_pass.py --photos DIR

AlexNet with random weights, fc8 to train; every photo is decoded and computed once for each row. The cluster has two
machines, each of them this one with a single core, or one machine with both. What starts workers is measured apart.
Seconds are medians, processor seconds are those of all processes of the cluster and of the command. Linux only.
"""

import os
import pickle
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from finetune.config import TrainConfig
from finetune.data.dataset import Record
from finetune.data.read_data import read_data
from finetune.model import Model, save_model
from finetune.networks import build
from finetune.networks.initialize import fresh_weights
from finetune.system.quiet import import_for_own_program, import_tensorflow
from finetune.training.make_plan import make_plan
from finetune.training.plan import Plan

CLUSTERS = {"two machines with a core each": ({0}, {1}), "one machine with two cores": ({0, 1},)}


class Took(NamedTuple):
    """Seconds, and processor seconds."""

    seconds: float
    processor: float


def main(
    photos: Annotated[Path, typer.Option(exists=True, file_okay=False, help="Folder with JPEGs.")],
    images: Annotated[int, typer.Option(help="How many images.")] = 1000,
    rounds: Annotated[int, typer.Option(help="How often each engine computes them.")] = 7,
) -> None:
    """Print a Markdown table of both engines' speed, and what a worker costs."""
    import_for_own_program()
    import_tensorflow()
    with tempfile.TemporaryDirectory(prefix="finetune-cluster-") as folder:
        plan, records = setting(photos, images, Path(folder))
        sizes(plan, records)
        print("| cluster | local | Ray | ratio | processor seconds: local | Ray | more per image | workers start in |")
        print("|---|---|---|---|---|---|---|---|")
        for name, cores in CLUSTERS.items():
            with cluster(cores) as address:
                compare(name, plan, records, rounds, address)


def setting(photos: Path, images: int, folder: Path) -> tuple[Plan, tuple[Record, ...]]:
    """Return the plan and the records of as many distinct files as `images`, the photos in turn."""
    for number, photo in enumerate(islice(cycle(sorted(photos.rglob("*.jpg"))), images)):
        copy = folder / "images" / str(number % 2) / f"{number}.jpg"
        copy.parent.mkdir(parents=True, exist_ok=True)
        data, comment = photo.read_bytes(), b"\xff\xfe\x00\x0a%08d" % number  # its length, and eight digits
        copy.write_bytes(data[:2] + comment + data[2:])
    network, weights = build("alexnet", {}), folder / "alexnet.safetensors"
    values = fresh_weights(network, tuple(network.weighted_layers()), seed=0)
    save_model(weights, Model(network, values, tuple(map(str, range(network.num_classes)))))
    config = TrainConfig(data=folder / "images", weights=str(weights), skip=("fc8",), out=folder / "run", check=False)
    dataset = read_data(config.data, 0.2)
    return make_plan(config, dataset), dataset.records


def sizes(plan: Plan, records: tuple[Record, ...]) -> None:
    """Print how many bytes go to a worker and come from it for each image, and how many of them are features."""
    from finetune.networks.compiled import BATCH_SIZE
    from finetune.system.ray_tasks import Task
    from finetune.training.features import Row, Trunk, TrunkWorker, View

    trunk = Trunk(plan)
    rows = [Row(trunk.key(each.digest, View(0, plan.precision)), each, 0) for each in records[:BATCH_SIZE]]
    answer = TrunkWorker(trunk)(rows)
    sent, received = len(Task(0, rows).to_send()) / len(rows), len(pickle.dumps(answer)) / len(rows)
    features = sum(each.nbytes for _, each in answer[1]) / len(rows)
    print(f"{sent:.0f} bytes to a worker for each image, {received:.0f} from it, {features:.0f} of them features\n")


@contextmanager
def cluster(cores: tuple[set[int], ...]) -> Iterator[str]:
    """Yield the address of a cluster with a machine for each set of cores."""
    from ray.cluster_utils import Cluster

    every = os.sched_getaffinity(0)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    started = Cluster()
    for own in cores:
        os.sched_setaffinity(0, own)
        started.add_node(num_cpus=len(own), object_store_memory=600_000_000, include_dashboard=False)
    os.sched_setaffinity(0, every)
    yield started.address
    started.shutdown()


def compare(name: str, plan: Plan, records: tuple[Record, ...], rounds: int, address: str) -> None:
    """Print a row of the table: both engines in turns, after one batch for each worker that does not count."""
    from finetune.system.ray_cluster import connected
    from finetune.training.features import Trunk, View

    wanted = {record: (View(0, plan.precision),) for record in records}
    few = dict(list(wanted.items())[:64])
    ours, ray = Trunk(plan), Trunk(replace(plan, engine="ray"))
    took: dict[str, list[Took]] = {"local": [], "ray": []}
    with connected(address), ray.workers():
        start = computed(ray, few)
        computed(ours, few)
        for _ in range(rounds):
            took["local"].append(computed(ours, wanted))
            took["ray"].append(computed(ray, wanted))
    local, remote = (Took(*map(statistics.median, zip(*each, strict=True))) for each in took.values())
    more = 1000 * (remote.processor - local.processor) / len(records)
    ratios = [a.seconds / b.seconds for a, b in zip(*took.values(), strict=True)]
    print(
        f"| {name} | {local.seconds:.2f} s | {remote.seconds:.2f} s | {statistics.median(ratios):.2f}× "
        f"({min(ratios):.2f} to {max(ratios):.2f}) | {local.processor:.2f} | {remote.processor:.2f} | {more:.2f} ms "
        f"| {start.seconds:.1f} s, {start.processor:.1f} of a processor |",
        flush=True,
    )


def computed(trunk: object, wanted: Mapping[Record, tuple[object, ...]]) -> Took:
    """Compute features into an empty store."""
    from finetune.training.store import FeatureStore

    with tempfile.TemporaryDirectory() as folder:
        start, processor = time.perf_counter(), processor_seconds()
        trunk.compute(wanted, FeatureStore(Path(folder)))  # type: ignore[attr-defined]
        return Took(time.perf_counter() - start, processor_seconds() - processor)


def processor_seconds() -> float:
    """Return what this process and all below it have used."""
    import psutil  # Ray brings it

    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:4]) for process in processes)


if __name__ == "__main__":
    typer.run(main)
