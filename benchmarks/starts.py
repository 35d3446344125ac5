"""Parts of the comparison that are about the start of a program: one photo classified, TensorFlow imported."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from program import PLAIN_IMPORT, Run, run
from setting import FULL, STARTER, Line, Setting

IMPORT = "from finetune.system.quiet import *; import_for_own_program(); import_tensorflow()"  # as every command does
OTHERS = {"torch": "torch, the same from the start", "onnx": "ONNX Runtime, the same from the start"}


class Source(NamedTuple):
    """A network, in which format, and the share of `import tensorflow` and the memory that are wanted."""

    network: str
    suffix: str
    wanted: str


SOURCES = {
    "starter": Source(STARTER, ".safetensors", "≤ 0.12×, ≤ 200 MB"),
    "AlexNet": Source(FULL, ".safetensors", "≤ 0.2×, ≤ 450 MB"),
    "AlexNet from a pickled .npy": Source(FULL, ".npy", "≤ 0.25×, ≤ 450 MB"),
}


def predict(setting: Setting) -> Iterator[Line]:
    photo = setting.paths()[0]
    command = [sys.executable, "-m", "finetune", "predict", photo, "--network", "alexnet", "--model"]
    commands: dict[str, Sequence[object]] = {
        what: [*command, setting.prefix(source.network) + source.suffix] for what, source in SOURCES.items()
    }
    commands["import"] = PLAIN_IMPORT
    program = Path(__file__).with_name("one_photo.py")
    for other in OTHERS if setting.torch_python else ():
        for network in (STARTER, FULL):
            commands[other + network] = [setting.torch_python, program, other, setting.prefix(network), photo]
    runs = _runs(setting, commands)
    for what, source in SOURCES.items():
        ours, title = runs[what], f"predict, one photo, whole program, {what}"
        yield _line(title, ours, "import tensorflow", runs["import"], source.wanted)
        for other, name in OTHERS.items():
            if other + source.network in runs:
                yield _line(title, ours, name, runs[other + source.network], "")


def imports(setting: Setting) -> Iterator[Line]:
    runs = _runs(setting, {"ours": [sys.executable, "-c", IMPORT], "plain": PLAIN_IMPORT})
    yield _line("import of TensorFlow in a command", runs["ours"], "import tensorflow", runs["plain"], "≤ 0.65×")


def _runs(setting: Setting, commands: Mapping[str, Sequence[object]]) -> dict[str, Run]:
    """Run programs in turns."""
    return setting.take_turns(
        {name: lambda c=command: run(c, setting.environment) for name, command in commands.items()}
    )


def _line(what: str, ours: Run, against: str, theirs: Run, wanted: str) -> Line:
    return Line(what, str(ours), against, str(theirs), f"{ours.seconds / theirs.seconds:.2f}×", wanted)
