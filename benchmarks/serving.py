"""Measure `finetune serve`: its start, and many requests by several clients against the rate of `finetune score`.

    python benchmarks/serving.py --photos DIR [--model NAME] [--requests 2000] [--clients 8] [--rounds 3] [--hostile N]

Each round times the photos with `score`, then as many single-image requests on loopback, so that both meet the same
load of the machine; compare the ratio. The clients are threads of one other process. `--hostile` then lets clients send
garbage, hang and leave for N seconds, while one client goes on asking.
"""

import argparse
import http.client
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

HOST = "127.0.0.1"


class Server:
    """`finetune serve` as a process on a free port, from its start to Ctrl-C."""

    def __init__(self, model: str) -> None:
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port = free.getsockname()[1]
        started = time.perf_counter()
        command = [sys.executable, "-m", "finetune", "serve", model, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        self.wait_for("/healthz", "ok")
        self.start_seconds = time.perf_counter() - started
        self.start_cpu_seconds = self.cpu_seconds()

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    def get(self, path: str) -> str:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def wait_for(self, path: str, text: str) -> None:
        while True:
            try:
                if text in self.get(path):
                    return
            except OSError:
                pass
            time.sleep(0.01)

    def stop(self) -> str:
        """Stop it as Ctrl-C does and return what it wrote."""
        self.process.send_signal(2)
        return self.process.communicate()[1]


def ask(port: int, photos: list[bytes], seconds: list[float]) -> None:
    """Send one request for each photo on one connection; add how long each took."""
    connection = http.client.HTTPConnection(HOST, port, timeout=120)
    for photo in photos:
        started = time.perf_counter()
        connection.request("POST", "/v1/predict", photo, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        assert answer.status == 200
        assert b"predictions" in answer.read()
        seconds.append(time.perf_counter() - started)
    connection.close()


def load(port: int, photos: list[bytes], clients: int) -> None:
    """Print seconds, p50 and p99 in milliseconds: the clients' own process."""
    seconds: list[float] = []
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda part: ask(port, part, seconds), [photos[start::clients] for start in range(clients)]))
    elapsed = time.perf_counter() - started
    cuts = statistics.quantiles(seconds, n=100)
    print(elapsed, 1000 * cuts[49], 1000 * cuts[98])


def score(model: str, files: list[Path]) -> None:
    """Print the seconds that `score` takes for the files, one line for each line on stdin: its own process."""
    from finetune.classifier import load as load_classifier

    classifier = load_classifier(model, many=True)
    list(classifier.predict(files[:64]))  # imports and compiles
    for _ in sys.stdin:
        started = time.perf_counter()
        for prediction in classifier.predict(files):
            assert prediction.scores
        print(time.perf_counter() - started, flush=True)


def hostile(port: int, photo: bytes, until: float) -> None:
    """Send garbage, hang and leave, in turn."""
    chance = random.Random(threading.get_ident())
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(photo)}\r\n\r\n".encode()
    while time.perf_counter() < until:
        with socket.socket() as connection:
            try:
                connection.settimeout(5)
                connection.connect((HOST, port))
                match chance.randrange(6):
                    case 0:  # not HTTP
                        connection.sendall(chance.randbytes(chance.randrange(1, 5000)))
                    case 1:  # not an image
                        connection.sendall(head + chance.randbytes(len(photo)))
                        connection.recv(1000)
                    case 2:  # leaves in the middle
                        connection.sendall(head + photo[: chance.randrange(len(photo))])
                    case 3:  # leaves before the answer
                        connection.sendall(head + photo)
                    case 4:  # hangs
                        connection.sendall((head + photo)[: chance.randrange(len(head) + 100)])
                        time.sleep(chance.random() * 5)
                    case 5:  # a damaged photo
                        damaged = bytearray(photo)
                        for _ in range(20):
                            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
                        connection.sendall(head + damaged)
                        connection.recv(1000)
            except OSError:
                pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hostile", type=float, default=0)
    parser.add_argument("--part", choices=("load", "score"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    found = [path for path in sorted(options.photos.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    files = list(islice(cycle(found), options.requests))
    if options.part == "load":
        load(options.port, [path.read_bytes() for path in files], options.clients)
        return
    if options.part == "score":
        score(options.model, files)
        return
    part = [sys.executable, __file__, "--photos", options.photos, "--model", options.model]
    part += ["--requests", str(options.requests), "--clients", str(options.clients), "--part"]
    server = Server(options.model)
    print(f"start: /healthz after {server.start_seconds:.2f} s, {server.start_cpu_seconds:.2f} s of processor time")
    server.wait_for("/healthz", '"tensorflow":true')
    scoring = subprocess.Popen([*part, "score"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert scoring.stdin
    assert scoring.stdout
    for _ in range(options.rounds):
        scoring.stdin.write("\n")
        scoring.stdin.flush()
        scored = options.requests / float(scoring.stdout.readline())
        done = subprocess.run([*part, "load", "--port", str(server.port)], capture_output=True, text=True, check=True)
        elapsed, p50, p99 = map(float, done.stdout.split())
        served = options.requests / elapsed
        print(
            f"{options.requests} requests, {options.clients} clients: {served:.0f} images/s, score {scored:.0f}; "
            f"ratio {served / scored:.2f}; p50 {p50:.0f} ms, p99 {p99:.0f} ms; {server.megabytes():.0f} MB",
            flush=True,
        )
    scoring.stdin.close()
    if options.hostile:
        until = time.perf_counter() + options.hostile
        photo = found[0].read_bytes()
        threads = [threading.Thread(target=hostile, args=(server.port, photo, until)) for _ in range(16)]
        for thread in threads:
            thread.start()
        seconds: list[float] = []
        while time.perf_counter() < until:
            ask(server.port, [photo], seconds)
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        print(
            f"{options.hostile:.0f} s of garbage: {len(seconds)} good requests, all answered, p50 "
            f"{1000 * statistics.median(seconds):.0f} ms, longest {max(seconds):.1f} s; {server.megabytes():.0f} MB"
        )
    print("its log:", server.stop().strip())


if __name__ == "__main__":
    main()
