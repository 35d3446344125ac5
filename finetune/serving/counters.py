"""What `/metrics` answers: counts of requests and their times, in Prometheus' text format."""

from bisect import bisect_left
from collections import Counter

# Upper bounds in seconds: from one image with TensorFlow to a batch of ten crops.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestCounts:
    """How many requests every route has answered, with which status, and how long they took."""

    def __init__(self) -> None:
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._within: Counter[tuple[str, int]] = Counter()  # by route and index of the bound
        self._seconds: Counter[str] = Counter()

    def add(self, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the path of a route, so that clients cannot invent names."""
        self._statuses[route, status] += 1
        self._within[route, bisect_left(BOUNDS, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]  # a Counter of floats

    def total(self) -> int:
        """Return the number of requests."""
        return self._statuses.total()

    def text(self) -> str:
        """Return the counts in the text format that https://prometheus.io/docs/instrumenting/exposition_formats has."""
        lines = ["# TYPE finetune_requests_total counter"]
        lines += [
            f'finetune_requests_total{{route="{route}",status="{status}"}} {count}'
            for (route, status), count in sorted(self._statuses.items())
        ]
        lines.append("# TYPE finetune_request_seconds histogram")
        for route in sorted(self._seconds):
            counts = [self._within[route, index] for index in range(len(BOUNDS) + 1)]
            for index, bound in enumerate([*map(str, BOUNDS), "+Inf"]):
                lines.append(
                    f'finetune_request_seconds_bucket{{route="{route}",le="{bound}"}} {sum(counts[: index + 1])}'
                )
            lines.append(f'finetune_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'finetune_request_seconds_count{{route="{route}"}} {sum(counts)}')
        return "\n".join(lines) + "\n"


def gauge(name: str, kind: str, value: float) -> str:
    """Return one value without labels, of kind "gauge" or "counter"."""
    return f"# TYPE {name} {kind}\n{name} {value:g}\n"
