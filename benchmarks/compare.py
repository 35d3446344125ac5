"""Compare finetune with plain PyTorch and ONNX Runtime, which take turns, and print a Markdown table.

    python benchmarks/compare.py --photos DIR [--torch-python PATH] [--quick] [--only forward]

Run it where finetune is installed with `[dev]`. torch, onnx, onnxruntime and cv2 may be in another environment.
Nothing is installed or downloaded. Numbers are medians; compare the ratios.
"""

import os
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from passes import bfloat16, forward, score, step
from scorings import layers
from setting import Line, Setting
from starts import imports, predict
from trainings import memory, train

import finetune

PARTS: dict[str, Callable[[Setting], Iterator[Line]]] = {
    part.__name__: part for part in (forward, bfloat16, step, score, layers, predict, imports, train, memory)
}
TORCH_VERSIONS = """
from importlib.metadata import version
print(f", torch {version('torch')}, ONNX Runtime {version('onnxruntime')}", end="")
"""


def main(
    photos: Annotated[
        Path, typer.Option(exists=True, file_okay=False, help="Folder with a folder of photos for each class.")
    ],
    torch_python: Annotated[
        str | None,
        typer.Option(help="Python that has torch, onnx, onnxruntime and cv2; without it, finetune is measured alone."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A short run, for a first look.")] = False,
    only: Annotated[
        list[str] | None, typer.Option(help=f"Parts, of {', '.join(PARTS)}; may be repeated. [default: all]")
    ] = None,
) -> None:
    """Compare finetune with plain PyTorch and ONNX Runtime and print a Markdown table."""
    for name in only or ():
        if name not in PARTS:
            raise typer.BadParameter(f"there is no part {name!r}; the parts are {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory(prefix="finetune-compare-") as folder:
        setting = Setting(
            photos.absolute(),
            Path(folder),
            torch_python,
            rounds=2 if quick else 5,
            epochs=3 if quick else 30,
            files=(200, 1000) if quick else (1000, 20_000),
            images=(50, 100) if quick else (300, 1000),
        )
        print(f"{machine()}\n\n{versions(torch_python)}; medians of {setting.rounds} rounds.\n")
        setting.write_models()
        print("| what | finetune | against | | ratio | wanted |\n|---|---|---|---|---|---|")
        for name in only or PARTS:
            for line in PARTS[name](setting):
                print(f"| {' | '.join(line)} |", flush=True)


def machine() -> str:
    """Return one line that describes the processor and how busy it is."""
    model = platform.processor() or platform.machine()
    flags = ""
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = dict(line.split(":", 1) for line in information.read_text(encoding="utf-8").splitlines() if ":" in line)
        facts = {key.strip(): value.strip() for key, value in lines.items()}
        model = facts.get("model name", model)
        present = {"AMX": "amx_bf16", "AVX-512": "avx512f"}
        flags = "".join(f", {name}" for name, flag in present.items() if flag in facts.get("flags", "").split())
    return f"{os.cpu_count()} cores, {model}{flags}; load {os.getloadavg()[0]:.1f} at the start."


def versions(torch_python: str | None) -> str:
    """Return the date and what is measured."""
    found = f"{date.today()}: finetune {finetune.__version__}, Python {platform.python_version()}, "
    found += f"TensorFlow {version('tensorflow')}"
    return found + (subprocess.check_output([torch_python, "-c", TORCH_VERSIONS], text=True) if torch_python else "")


if __name__ == "__main__":
    typer.run(main)
