"""In which arithmetic a network runs forward."""

from functools import cache
from pathlib import Path

from finetune.choices import Precision, PrecisionOption

_GPU_DEVICES = ("nvidia0", "dxg", "kfd")  # of NVIDIA's driver, of Windows' subsystem for Linux, of AMD's driver


def resolve_precision(option: PrecisionOption) -> Precision:
    """Return what `option` means on this machine: "auto" is bfloat16 where the hardware multiplies it fast.

    bfloat16 has 8 bits of precision and float32's range. Only frozen layers run in it, never a gradient. TensorFlow is
    imported only where the system shows a GPU, so that everything about a plan is known, and wrong options are
    reported, before that import.
    """
    if option != "auto":
        return option
    return "bfloat16" if _fast_bfloat16() else "float32"


@cache
def _fast_bfloat16() -> bool:
    """Return whether there is a GPU from Ampere on, or a CPU with AMX or AVX-512 BF16."""
    if any(Path("/dev", device).exists() for device in _GPU_DEVICES):
        from finetune.system.quiet import import_tensorflow

        import_tensorflow()
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            capability = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
            return bool(capability >= (8, 0))
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags
