"""Which arithmetic this machine is fast in: bf16 without hardware for it crawls."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]
Arithmetic = Literal["fp32", "bf16"]

_PROCESSOR = Path("/proc/cpuinfo")
_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As Linux names them on x86 and on Arm."""


def arithmetic(precision: Precision) -> Arithmetic:
    """Settle what a stage computes in; ``auto`` is bf16 where the device has it, else fp32."""
    if precision != "auto":
        return precision
    return "bf16" if _has_bf16() else "fp32"


def _has_bf16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.accelerator.is_available():
        return False
    try:
        words = _PROCESSOR.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return not _FLAGS.isdisjoint(words)
