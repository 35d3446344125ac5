"""Time and memory of the linear probe's arithmetic on made-up features of 9,216 values, as of AlexNet's pool5.

    python benchmarks/probe_times.py

Half the rows are mirror images; rows are float16 in a file, as in the cache of features. The choice: 5 folds, all
strengths, on the images drawn. Each case runs in a process of its own. Linux only: memory is read from /proc.
"""

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetune.training.probe_fit import best_strength, cross_validate, fit
from finetune.training.probe_folds import draw, make_folds

VALUES, CLASSES, RANK, BLOCK = 9216, 5, 200, 1000
CASES = [(work, rows) for work in ("choice", "fit") for rows in (400, 2000, 10000, 50000)]


def main() -> None:
    print("| work | rows × values | seconds | processor seconds | memory, MB: before, most | result |")
    print("|---|---|---|---|---|---|")
    for work, rows in CASES:
        subprocess.run([sys.executable, __file__, work, str(rows)], check=True)


def case(work: str, count: int) -> None:
    import sklearn.linear_model  # noqa: F401  before the clock starts

    with tempfile.TemporaryDirectory() as folder:
        labels, rows = made_up(count, Path(folder, "rows.npy"))
        keys = [f"{number * 7919 % 999983:06d}" for number in range(len(labels))]
        before = memory()
        wall, processor = time.perf_counter(), time.process_time()
        with most_memory() as most:
            result = WORK[work](rows, labels, keys)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        what = f"{work} | {count:,} × {VALUES:,} | {wall:.1f} | {processor:.1f}"
        print(f"| {what} | {before:.0f}, {max(most):.0f} | {result} |", flush=True)


def made_up(count: int, path: Path) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return labels and rows: ReLU of a few directions with falling variance, noise, and a little of the class."""
    random = np.random.default_rng(0)
    labels = np.arange(count // 2) % CLASSES
    spectrum = np.arange(1, RANK + 1)[:, None] ** -0.5
    basis = (random.standard_normal((RANK, VALUES)) * spectrum).astype(np.float32)
    centres = 0.15 * random.standard_normal((CLASSES, RANK))
    rows = np.lib.format.open_memmap(path, "w+", np.float16, (count, VALUES))
    for start in range(0, count, BLOCK):
        own = labels[start // 2 : (start + BLOCK) // 2]
        images = centres[own] + random.standard_normal((len(own), RANK))
        views = np.repeat(images, 2, axis=0) + 0.3 * random.standard_normal((2 * len(own), RANK))
        noise = random.standard_normal((2 * len(own), VALUES), np.float32)
        rows[start : start + BLOCK] = np.maximum(views.astype(np.float32) @ basis + noise - 1, 0)
    del rows
    return labels, np.load(path, mmap_mode="r")


def choice(rows: NDArray[Any], labels: NDArray[np.int64], keys: list[str]) -> str:
    drawn = draw(labels, keys)
    labels, keys = labels[drawn], [keys[image] for image in drawn]
    views = rows[(2 * drawn[:, None] + np.arange(2)).ravel()]
    folds = make_folds(labels, np.arange(len(labels)), keys)
    best = best_strength(cross_validate(views, labels, folds, keys))
    return f"{len(drawn):,} images, strength {best.strength:g}, accuracy {best.accuracy:.1%}"


def fitted(rows: NDArray[Any], labels: NDArray[np.int64], keys: list[str]) -> str:
    kernel, bias = fit(rows, labels, keys, strength=0.3)
    some = np.arange(0, min(len(rows), 4000), 2)
    hits = (rows[some] @ kernel + bias).argmax(axis=1) == labels[some // 2]
    return f"strength 0.3, accuracy in training {hits.mean():.1%}"


def memory() -> float:
    """Return the memory of this process in MB, without pages of mapped files, which the system takes back at need."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


@contextmanager
def most_memory() -> Iterator[list[float]]:
    """Yield a list that grows by the memory of this process, every 20 ms."""
    found, ended = [memory()], threading.Event()

    def look() -> None:
        while not ended.wait(0.02):
            found.append(memory())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


WORK: dict[str, Callable[[NDArray[Any], NDArray[np.int64], list[str]], str]] = {"choice": choice, "fit": fitted}

if __name__ == "__main__":
    if len(sys.argv) == 3:
        case(sys.argv[1], int(sys.argv[2]))
    else:
        main()
