"""Engines that run the graphs of a bundle."""

from __future__ import annotations

from collections.abc import Mapping

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine
from pacx.engines.onnxruntime import OnnxRuntimeEngine
from pacx.engines.openvino import OpenVinoEngine
from pacx.engines.protocol import Engine, EngineName, Precision
from pacx.engines.replay import Difference, GatedEngine, GraphReport, verify_engine
from pacx.errors import EngineUnavailable, ExtraMissing

__all__ = [
    "Difference",
    "Engine",
    "EngineName",
    "GatedEngine",
    "GraphReport",
    "Precision",
    "open_engine",
    "verify_engine",
]

_ENGINES: Mapping[EngineName, type[OpenVinoEngine] | type[OnnxRuntimeEngine]] = {
    "openvino": OpenVinoEngine,
    "onnxruntime": OnnxRuntimeEngine,
}


def open_engine(
    bundle: Bundle,
    name: EngineName | str = "auto",
    *,
    device: str = "cpu",
    precision: Precision | None = None,
    threads: int | None = None,
) -> Engine:
    """Put a bundle on an engine, behind the replay of its reference vectors.

    Args:
        bundle: Whose graphs to run.
        name: ``openvino``, ``onnxruntime``, or ``auto``: the first of them that is installed
            and has the device and precision.
        device: ``cpu``, ``cuda``, ...; there is no silent fallback to another one.
        precision: Of the arithmetic; None takes the engine's default for this processor.
        threads: None leaves the choice to the engine.

    Raises:
        ExtraMissing: The engine that was named is not installed.
        EngineUnavailable: No such engine, device or precision here; says what there is.
    """
    known = {str(engine): kind for engine, kind in _ENGINES.items()}
    if name != "auto" and name not in known:
        raise EngineUnavailable(
            f"There is no such engine; known ones are auto, {', '.join(known)}."
        )
    refusals: list[ExtraMissing | EngineUnavailable] = []
    for kind in known.values() if name == "auto" else [known[name]]:
        try:
            engine: GraphEngine = kind(bundle, device=device, precision=precision, threads=threads)
            return GatedEngine(bundle, engine)
        except (ExtraMissing, EngineUnavailable) as refusal:
            refusals.append(refusal)
    kinds = {type(refusal) for refusal in refusals}
    error = kinds.pop() if len(kinds) == 1 else EngineUnavailable
    raise error(" ".join(refusal.detail for refusal in refusals))
