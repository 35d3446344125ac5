"""What a training on a list of very many images takes, from files of distinct bytes and made-up features.

    python benchmarks/million.py --photos DIR --work DIR [--images 1000000]

Every file is one of the photos at 64 pixels with a comment of its own, so that no two have the same bytes. They are
listed, hashed and split, a probe on fc7 is fitted, and the run is written, as `finetune train` does; but nothing is
decoded, and the features are random numbers, since those of a million images take hours. In WORK, an image takes 4 kB
for its file and 16.5 kB of features. Prints seconds and memory of each step; memory is that of Linux's /proc, without
mapped files, which the system gives up when others need it.
"""

import argparse
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import finetune
from finetune.system.quiet import import_tensorflow

SIDE, CLASSES = 64, 2
FOLDER = 1000  # files
STEPS = ("read_data", "choose_probe", "fit_probe", "_write_model", "_write_evaluation", "write_report")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1_000_000)
    asked = parser.parse_args()
    os.environ["XDG_CACHE_HOME"] = str(asked.work / "cache")
    with timed("files made"):
        data = made(asked.photos, asked.work, asked.images)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    import_tensorflow()
    make_up_features()
    for number in (1, 2):
        with timed(f"training {number}"):
            finetune.train(data=data, out=asked.work / f"run{number}", probe="fc7", weights="starter", val_fraction=0.1)
    for path in (asked.work / "cache" / "finetune").iterdir():
        print(f"{path.name}: {size(path) / asked.images:,.0f} bytes an image")
    for path in sorted((asked.work / "run1").iterdir()):
        print(f"{path.name}: {size(path):,} bytes")


def made(photos: Path, work: Path, count: int) -> Path:
    """Return the list of `count` files of distinct bytes, which are made if they do not exist."""
    data = work / f"list{count}.csv"
    if data.exists():
        return data
    small = [
        cv2.resize(image, (SIDE, SIDE)) for path in sorted(photos.rglob("*.jpg")) if (image := read(path)) is not None
    ]
    encoded = [cv2.imencode(".jpg", image)[1].tobytes() for image in small]
    with data.open("w") as lines:
        lines.write("path,label\n")
        for number in range(count):
            folder = work / "files" / str(number // FOLDER)
            if number % FOLDER == 0:
                folder.mkdir(parents=True, exist_ok=True)
            path, photo = folder / f"{number}.jpg", encoded[number % len(encoded)]
            comment = str(number).encode()
            header = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
            path.write_bytes(photo[:2] + header + photo[2:])
            lines.write(f"{path},class{number % len(encoded) % CLASSES}\n")
    return data


def read(path: Path) -> NDArray[np.uint8] | None:
    return cv2.imread(str(path))  # type: ignore[return-value]


def make_up_features() -> None:
    """Let trainings use random numbers as features, without decoding, and print what each of their STEPS takes."""
    from finetune.networks.compiled import BATCH_SIZE
    from finetune.training import probe, train
    from finetune.training.features import Row, Trunk

    random = np.random.default_rng(0).random((BATCH_SIZE, 1, 1, 4096), np.float32)

    def decoded(self: Trunk, rows: list[Row]) -> tuple[list[Row], list[NDArray[np.uint8]]]:
        return rows, [np.frombuffer(bytes.fromhex(row.key.digest[:2]), np.uint8) for row in rows]

    def output(self: Trunk, precision: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return random[: len(pixels)] * (pixels.astype(np.float32)[:, :, None, None] / 256)

    setattr(Trunk, "_decode", decoded)  # noqa: B010  for the linters: these are not its own
    setattr(Trunk, "_output", output)  # noqa: B010
    for module in (train, probe):
        for name in STEPS:
            if hasattr(module, name):
                setattr(module, name, with_time(name, getattr(module, name)))


def with_time(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its time and memory printed."""

    def timed_function(*arguments: Any, **options: Any) -> Any:
        with timed(name):
            return function(*arguments, **options)

    return timed_function


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Print the seconds, the processor seconds, and the most memory that the block takes."""
    wall, processor, most, ended = time.perf_counter(), time.process_time(), [memory()], threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            most.append(max(most.pop(), memory()))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        print(f"| {what} | {wall:.1f} s | {processor:.1f} processor s | {most[0]:.0f} MB at most |", flush=True)


def memory() -> float:
    """Return the memory of this process in MB, without mapped files."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("RssAnon:")[1].split()[0]) / 1000


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(each.stat().st_size for each in path.rglob("*")) if path.is_dir() else path.stat().st_size


if __name__ == "__main__":
    main()
