"""A processor without bf16 is not asked to emulate it unless somebody says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pacx_training import precision
from pacx_training.precision import arithmetic


@pytest.mark.skipif(torch.accelerator.is_available(), reason="asks about the processor")
@pytest.mark.parametrize(
    ("flags", "computed"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_vnni", "bf16"),
        ("Features\t: fp asimd bf16 i8mm", "bf16"),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", "fp32"),
        (None, "fp32"),
    ],
)
def test_auto_takes_what_the_processor_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, computed: str
) -> None:
    processor = tmp_path / "cpuinfo"
    if flags is not None:
        processor.write_text(f"processor\t: 0\n{flags}\n")
    monkeypatch.setattr(precision, "_PROCESSOR", processor)
    assert arithmetic("auto") == computed


def test_what_is_asked_for_is_done() -> None:
    assert arithmetic("bf16") == "bf16"
    assert arithmetic("fp32") == "fp32"
