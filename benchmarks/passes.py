"""Parts of the comparison that run inside both workers: forward, a training step, scoring files."""

from collections.abc import Callable, Iterator

from setting import FULL, Line, Setting


def forward(setting: Setting) -> Iterator[Line]:
    prefix, batch = setting.prefix(FULL), setting.batch
    with setting.workers() as (ours, torch):
        operations = 2 * ours.ask("multiply_adds", prefix) * batch
        measurements: dict[str, Callable[[], float]] = {
            "ours": lambda: ours.ask("forward", prefix, batch, "float32"),
            "product": lambda: ours.ask("matmul", "float32"),
        }
        if torch:
            measurements["torch float32"] = lambda: torch.ask("forward", prefix, batch, "float32")
            measurements["ONNX Runtime"] = lambda: torch.ask("onnx", prefix, batch)
        took = setting.take_turns(measurements)
    what = f"forward, batch {batch}, float32"
    yield from _faster(what, took, batch, {"torch float32": "≥ 2.0×", "ONNX Runtime": "≥ 1.1×"})
    rate = operations / took["ours"] / 1e6
    share = f"{rate / took['product']:.0%}"
    yield Line(what, f"{rate:.0f} GFLOP/s", "matrix product", f"{took['product']:.0f} GFLOP/s", share, "≥ 80%")


def bfloat16(setting: Setting) -> Iterator[Line]:
    prefix, batch = setting.prefix(FULL), 2 * setting.batch
    with setting.workers() as (ours, torch):
        measurements = {"ours": lambda: ours.ask("forward", prefix, batch, "bfloat16")}
        if torch:
            measurements["torch float32"] = lambda: torch.ask("forward", prefix, batch, "float32")
            measurements["torch bfloat16"] = lambda: torch.ask("forward", prefix, batch, "bfloat16")
        took = setting.take_turns(measurements)
    yield from _faster(
        f"forward, batch {batch}, bfloat16", took, batch, {"torch float32": "≥ 3×", "torch bfloat16": ""}
    )


def step(setting: Setting) -> Iterator[Line]:
    prefix, batch = setting.prefix(FULL), setting.batch
    with setting.workers() as (ours, torch):
        measurements = {"ours": lambda: ours.ask("step", prefix, batch)}
        if torch:
            measurements["torch"] = lambda: torch.ask("step", prefix, batch)
        took = setting.take_turns(measurements)
    yield from _faster(f"training step of all layers, batch {batch}", took, batch, {"torch": "≥ 1.4×"})


def _faster(what: str, took: dict[str, float], batch: int, wanted: dict[str, str]) -> Iterator[Line]:
    """Yield a row for each of `wanted` that was measured, or one without a comparison."""
    cells = {name: f"{ms:.0f} ms, {1000 * batch / ms:.0f} images/s" for name, ms in took.items()}
    others = [name for name in wanted if name in took]
    for name in others:
        yield Line(what, cells["ours"], name, cells[name], f"{took[name] / took['ours']:.2f}×", wanted[name])
    if not others:
        yield Line(what, cells["ours"], "", "", "", "")


def score(setting: Setting) -> Iterator[Line]:
    prefix, batch = setting.prefix(FULL), setting.batch
    paths = [str(path) for path in setting.paths()]
    with setting.workers() as (ours, torch):
        measurements = {
            "ours": lambda: ours.ask("score", prefix, paths, batch),
            "forward": lambda: ours.ask("forward", prefix, batch, "float32"),
        }
        if torch:
            measurements["torch"] = lambda: torch.ask("score", prefix, paths, batch)
        took = setting.take_turns(measurements)
    rates = {"forward alone": 1000 * batch / took["forward"]}
    if torch:
        rates["plain torch loader"] = len(paths) / took["torch"]
    ours_rate, wanted = len(paths) / took["ours"], {"forward alone": "≥ 0.85×"}
    for name, rate in rates.items():
        cells = (f"{ours_rate:.0f} images/s", name, f"{rate:.0f} images/s", f"{ours_rate / rate:.2f}×")
        yield Line(f"scoring {len(paths)} photos, end to end", *cells, wanted.get(name, ""))
