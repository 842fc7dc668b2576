"""Which floating-point type a device computes fastest in without losing the model: bfloat16 or float32.

Imported by settings, which are read before torch is.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["auto", "fp32", "bf16"]
"""What matrices are multiplied in; auto = bf16 where the hardware has it, else fp32."""

CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
"""Processor flags, as Linux names them, with which bfloat16 matrix products are done in hardware."""


def preferred_dtype(device: torch.device | str) -> torch.dtype:
    """`torch.bfloat16` where the hardware multiplies matrices in it, else `torch.float32`.

    It is never float16, in which transformers overflow. On a processor without bfloat16 instructions the same products
    are emulated, up to a hundred times slower than float32. Apple's GPUs differ by generation and system version and
    get float32; `dtype=` overrides the choice wherever a model is loaded.
    """
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    elif device.type == "xpu":
        fast = torch.xpu.is_bf16_supported()
    elif device.type == "cpu":
        fast = torch.backends.mkldnn.is_available() and not CPU_FLAGS.isdisjoint(cpu_flags())
    else:
        fast = False
    return torch.bfloat16 if fast else torch.float32


@cache
def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets of the first processor; empty where the system does not list them (not Linux)."""
    if not cpuinfo.is_file():
        return frozenset()
    for line in cpuinfo.read_text(errors="replace").splitlines():
        key, _, flags = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(flags.split())
    return frozenset()


def default_device() -> str:
    """The first device that there is of cuda, xpu, mps (Apple) and cpu."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.xpu.is_available():
        return "xpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def compute_dtype(precision: Precision, device: torch.device | str) -> torch.dtype:
    """The type of a setting; "auto" asks the hardware."""
    import torch

    match precision:
        case "auto":
            return preferred_dtype(device)
        case "bf16":
            return torch.bfloat16
        case "fp32":
            return torch.float32
