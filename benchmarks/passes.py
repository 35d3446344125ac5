"""Parts of the comparison that run inside both workers: forward, a training step, scoring files."""

from collections.abc import Iterator

from setting import FULL, Line, Setting, take_turns

from finetune.data.folder import read_folder

BATCH = 32


def forward(setting: Setting) -> Iterator[Line]:
    prefix = setting.prefix(FULL)
    with setting.workers() as (ours, torch):
        operations = 2 * ours.ask("multiply_adds", prefix) * BATCH
        took = take_turns(
            {
                "ours": lambda: ours.ask("forward", prefix, BATCH, "float32"),
                "torch": lambda: torch.ask("forward", prefix, BATCH, "float32"),
                "onnx": lambda: torch.ask("onnx", prefix, BATCH),
                "product": lambda: ours.ask("matmul", "float32"),
            },
            setting.rounds,
        )
    what = f"forward, batch {BATCH}, float32"
    yield _faster(what, took["ours"], "torch float32", took["torch"], BATCH, "1.3")
    yield _faster(what, took["ours"], "ONNX Runtime", took["onnx"], BATCH, "1.1")
    rate = operations / took["ours"] / 1e6
    share = f"{rate / took['product']:.0%}"
    yield Line(what, f"{rate:.0f} GFLOP/s", "matrix product", f"{took['product']:.0f} GFLOP/s", share, "60%")


def bfloat16(setting: Setting) -> Iterator[Line]:
    prefix, batch = setting.prefix(FULL), 2 * BATCH
    with setting.workers() as (ours, torch):
        took = take_turns(
            {
                "ours": lambda: ours.ask("forward", prefix, batch, "bfloat16"),
                "float32": lambda: torch.ask("forward", prefix, batch, "float32"),
                "bfloat16": lambda: torch.ask("forward", prefix, batch, "bfloat16"),
            },
            setting.rounds,
        )
    what = f"forward, batch {batch}, bfloat16"
    yield _faster(what, took["ours"], "torch float32", took["float32"], batch, "3")
    yield _faster(what, took["ours"], "torch bfloat16", took["bfloat16"], batch, "")


def step(setting: Setting) -> Iterator[Line]:
    prefix = setting.prefix(FULL)
    with setting.workers() as (ours, torch):
        took = take_turns(
            {
                "ours": lambda: ours.ask("step", prefix, BATCH),
                "torch": lambda: torch.ask("step", prefix, BATCH),
            },
            setting.rounds,
        )
    yield _faster(f"training step of all layers, batch {BATCH}", took["ours"], "torch", took["torch"], BATCH, "1.4")


def _faster(what: str, ours: float, against: str, theirs: float, batch: int, wanted: str) -> Line:
    cells = (f"{took:.0f} ms, {1000 * batch / took:.0f} images/s" for took in (ours, theirs))
    return Line(what, next(cells), against, next(cells), f"{theirs / ours:.2f}×", wanted and f"{wanted}×")


def score(setting: Setting) -> Iterator[Line]:
    prefix = setting.prefix(FULL)
    paths = [str(record.path) for record in read_folder(setting.photos).records]
    rounds = max(1, setting.rounds // 4)
    with setting.workers() as (ours, torch):
        took = take_turns(
            {
                "ours": lambda: ours.ask("score", prefix, paths, BATCH),
                "torch": lambda: torch.ask("score", prefix, paths, BATCH),
                "forward": lambda: ours.ask("forward", prefix, BATCH, "float32"),
            },
            rounds,
        )
    rates = {name: len(paths) / took[name] for name in ("ours", "torch")}
    alone = 1000 * BATCH / took["forward"]
    what = f"scoring {len(paths)} photos, end to end"
    yield Line(
        what,
        f"{rates['ours']:.0f} images/s",
        "plain torch loader",
        f"{rates['torch']:.0f} images/s",
        f"{rates['ours'] / rates['torch']:.2f}×",
        "",
    )
    yield Line(
        what,
        f"{rates['ours']:.0f} images/s",
        "forward alone",
        f"{alone:.0f} images/s",
        f"{rates['ours'] / alone:.2f}×",
        "0.8×",
    )
