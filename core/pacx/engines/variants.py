"""What engines can be asked for: whatever a machine and a bundle may have between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pacx.engines.protocol import EngineName, Precision

_PRECISIONS: tuple[tuple[EngineName, str, tuple[Precision, ...]], ...] = (
    ("onnxruntime", "cpu", ("f32", "int8")),
    ("openvino", "cpu", ("f32", "bf16", "f16", "int8")),
    ("openvino", "gpu", ("f32", "f16")),
    ("openvino", "npu", ("f16",)),
    ("onnxruntime", "cuda", ("f32",)),
    ("onnxruntime", "tensorrt", ("f32",)),
    ("tensorrt", "cuda", ("f32", "bf16", "f16")),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """An engine on a device in a precision, as ``open_engine`` takes them."""

    engine: EngineName
    device: str
    precision: Precision

    def __str__(self) -> str:
        """In words, for reports; ``cpu`` goes without saying."""
        where = "" if self.device == "cpu" else f" on {self.device}"
        return f"{self.engine} {self.precision}{where}"


def _variants() -> Iterator[Variant]:
    for engine, device, precisions in _PRECISIONS:
        yield from (Variant(engine, device, precision) for precision in precisions)


VARIANTS = tuple(_variants())
"""All but Triton, whose device is an address and whose precision is the remote server's."""
DEVICES = tuple(dict.fromkeys(variant.device for variant in VARIANTS))
"""Kinds of devices; ``cuda:1`` is the second of its kind."""
