"""What "auto" means on a machine, by the flags that its processor reports."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from finetune.networks import precision
from finetune.networks.precision import resolve_precision


@pytest.fixture(autouse=True)
def _ask_again() -> Iterator[None]:
    """Forget what this machine is, before and after."""
    forget = precision._fast_bfloat16.cache_clear
    forget()
    yield
    forget()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine without a GPU."""
    monkeypatch.setattr(precision, "_GPU_DEVICES", ())
    return monkeypatch


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f amx_bf16 amx_tile", "bfloat16"),
        ("fpu avx2 avx512f avx512_bf16", "bfloat16"),
        ("fpu avx2 avx512f avx512_vnni", "float32"),  # has to convert bfloat16 first
        ("", "float32"),
    ],
)
def test_auto_follows_the_processor(flags: str, expected: str, machine: pytest.MonkeyPatch) -> None:
    machine.setattr(Path, "read_text", lambda path, **_: f"flags\t\t: {flags}\n")
    assert resolve_precision("auto") == expected


def test_auto_without_processor_information_is_float32(machine: pytest.MonkeyPatch) -> None:
    def missing(path: Path, **_: object) -> str:
        raise FileNotFoundError(path)

    machine.setattr(Path, "read_text", missing)
    assert resolve_precision("auto") == "float32"


@pytest.mark.parametrize("option", ["float32", "bfloat16"])
def test_a_given_precision_is_taken_on_any_machine(option, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_fast_bfloat16", lambda: pytest.fail("the machine was asked"))
    assert resolve_precision(option) == option


@pytest.mark.skipif(any(Path("/dev", name).exists() for name in precision._GPU_DEVICES), reason="there is a GPU")
def test_needs_no_tensorflow_without_a_gpu() -> None:
    program = "import sys; from finetune.networks.precision import resolve_precision; resolve_precision('auto');"
    program += "sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
