"""Measure `finetune teach`: many clients that add images at once, then check, training, and the zip.

    python benchmarks/teaching.py --photos DIR [--images 1000] [--clients 30]

Nine of ten images go to one of two classes. Each client adds one image after another on a connection of its
own; after every fifth it asks for the counts and for eight thumbnails, as a page does. In the end, every image that was
acknowledged must be in the folder. All clients are threads of this process.
"""

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

CLASSES = ("many", "few")
SHARE = 10  # of so many images, one goes to the second class


class Asking:
    """One client, with a connection of its own."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "image/jpeg") -> tuple[int, bytes]:
        self._connection.request(method, f"/v1/teach{path}", body, {"Content-Type": kind})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def status(self) -> Any:
        return json.loads(self.ask("GET", "")[1])


def add(port: int, wanted: list[tuple[str, Path]]) -> tuple[list[str], list[float]]:
    """Add images; return the names of those that were acknowledged, and how many seconds each took."""
    client, names, seconds = Asking(port), [], []
    for number, (name, path) in enumerate(wanted):
        data, started = path.read_bytes(), time.perf_counter()
        status, answer = client.ask("POST", f"/classes/{name}/images", data)
        seconds.append(time.perf_counter() - started)
        if status == 201:  # not for an image that the other class has
            names.append(json.loads(answer)["image"])
        if number % 5 == 0:
            client.status()
            for image in json.loads(client.ask("GET", f"/classes/{name}/images?most=8")[1]):
                client.ask("GET", f"/images/{image}")
    return names, seconds


def timed(what: str, work: Any) -> Any:
    """Return what some work returns, and print how many seconds it took."""
    started = time.perf_counter()
    done = work()
    print(f"{what}: {time.perf_counter() - started:.1f} s", flush=True)
    return done


def train(port: int) -> None:
    Asking(port).ask("POST", "/training")
    while (status := Asking(port).status()["training"])["stage"] == "running":
        time.sleep(0.2)
    assert status["stage"] == "done", status["error"]


def measure(folder: Path, port: int, photos: list[Path], clients: int) -> None:
    """Print how long each part takes."""
    for name in CLASSES:
        Asking(port).ask("POST", "/classes", json.dumps({"name": name}).encode(), "application/json")
    wanted = [(CLASSES[number % SHARE == 0], path) for number, path in enumerate(photos)]
    parts = [wanted[start::clients] for start in range(clients)]
    with ThreadPoolExecutor(clients) as pool:
        found = timed(f"adding {len(photos)}", lambda: list(pool.map(lambda part: add(port, part), parts)))
    cuts = statistics.quantiles([each for _, seconds in found for each in seconds], n=100)
    print(f"one image: median {1000 * cuts[49]:.0f} ms, 99 % within {1000 * cuts[98]:.0f} ms")
    assert all((folder / name).is_file() for names, _ in found for name in names)
    print({each["name"]: each["images"] for each in Asking(port).status()["classes"]})
    timed("check", lambda: Asking(port).ask("GET", "/check"))
    timed("training, with its report", lambda: train(port))
    print(f"{timed('zip', lambda: len(Asking(port).ask('GET', '/images.zip')[1])) / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=30)
    given = parser.parse_args()
    photos = list(islice(sorted(given.photos.resolve().rglob("*.jpg")), given.images))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "finetune", "teach", "images", "--port", "0"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
            try:
                assert server.stderr
                line = next(line for line in server.stderr if "http://" in line)
                port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
                measure(Path(folder, "images"), port, photos, given.clients)
            finally:
                server.terminate()


if __name__ == "__main__":
    main()
