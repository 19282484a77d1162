"""Engines that run the graphs of a bundle."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine
from pacx.engines.first import FirstEngine
from pacx.engines.onnxruntime import OnnxRuntimeEngine
from pacx.engines.openvino import OpenVinoEngine
from pacx.engines.protocol import ENGINES, Engine, EngineName, Precision
from pacx.engines.replay import Difference, GatedEngine, GraphReport, replay, verify_engine
from pacx.engines.tensorrt import TensorRtEngine
from pacx.engines.triton import TritonEngine
from pacx.engines.variants import VARIANTS, Variant
from pacx.errors import EngineUnavailable, ExtraMissing

# OpenVINO and NNCF would tell their makers what they are used for, and write into the home folder;
# both do without where this package is not installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = [
    "ENGINES",
    "VARIANTS",
    "Difference",
    "Engine",
    "EngineName",
    "GatedEngine",
    "GraphReport",
    "Precision",
    "Variant",
    "available_engines",
    "open_engine",
    "open_gated",
    "open_ungated",
    "replay",
    "verify_engine",
]

# A hospital's machine reports to nobody; this must be said before the runtime is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ON_PROCESSORS: tuple[EngineName, ...] = ("openvino", "onnxruntime")
_ON_CUDA: tuple[EngineName, ...] = ("tensorrt", "onnxruntime")
"""What ``auto`` chooses from, the fastest first."""
ENTRY_POINT_GROUP = "pacx.engines"
"""Where a floor above adds an engine, which is imported only when it is named."""
_ENGINES: Mapping[
    EngineName,
    type[OpenVinoEngine] | type[OnnxRuntimeEngine] | type[TensorRtEngine] | type[TritonEngine],
] = {
    "openvino": OpenVinoEngine,
    "onnxruntime": OnnxRuntimeEngine,
    "tensorrt": TensorRtEngine,
    "triton": TritonEngine,
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
        name: One of ``ENGINES``, or ``auto``: every graph on the first that is installed, has
            the device and precision, and gets the graph right; of OpenVINO and ONNX Runtime, or
            on ``cuda`` of TensorRT and ONNX Runtime. ``torch``, for research, is an engine that
            a floor above adds; no server serves it.
        device: ``cpu``, ``cuda``, ..., or Triton's address; there is no silent fallback.
        precision: Of the arithmetic; None takes the engine's default for this processor.
        threads: None leaves the choice to the engine.

    Raises:
        ExtraMissing: The engine that was named is not installed.
        EngineUnavailable: No such engine, device or precision here; says what there is.
    """
    if name != "auto":
        return open_gated(bundle, name, device=device, precision=precision, threads=threads)
    engines: list[GatedEngine] = []
    refusals: list[ExtraMissing | EngineUnavailable] = []
    for candidate in _ON_CUDA if device.startswith("cuda") else _ON_PROCESSORS:
        try:
            engines.append(
                open_gated(bundle, candidate, device=device, precision=precision, threads=threads)
            )
        except (ExtraMissing, EngineUnavailable) as refusal:
            refusals.append(refusal)
    if not engines:
        kinds = {type(refusal) for refusal in refusals}
        error = kinds.pop() if len(kinds) == 1 else EngineUnavailable
        raise error(" ".join(refusal.detail for refusal in refusals))
    return FirstEngine(engines)


def open_gated(
    bundle: Bundle,
    name: EngineName | str,
    *,
    device: str = "cpu",
    precision: Precision | None = None,
    threads: int | None = None,
) -> GatedEngine:
    """Put a bundle on the engine that was named, behind the replay of its reference vectors."""
    engine = open_ungated(bundle, name, device=device, precision=precision, threads=threads)
    return GatedEngine(bundle, engine)


def open_ungated(
    bundle: Bundle,
    name: EngineName | str,
    *,
    device: str = "cpu",
    precision: Precision | None = None,
    threads: int | None = None,
) -> GraphEngine:
    """Do the same without the replay, for those who measure what an engine computes."""
    kinds = {str(engine): kind for engine, kind in _ENGINES.items()}
    kind = kinds[name] if name in kinds else _added(name)
    return kind(bundle, device=device, precision=precision, threads=threads)


def _added(name: str) -> Callable[..., GraphEngine]:
    """An engine that a floor above adds."""
    added = entry_points(group=ENTRY_POINT_GROUP)
    if name not in added.names:
        known = ", ".join(("auto", *ENGINES, *sorted(added.names)))
        raise EngineUnavailable(f"There is no such engine; known ones are {known}.")
    try:
        engine: Callable[..., GraphEngine] = added[name].load()
    except ImportError as error:
        package = (error.name or name).partition(".")[0]
        raise ExtraMissing(
            f'The engine {name} needs {package}: pip install "pacx[explain]".'
        ) from error
    return engine


def available_engines() -> dict[str, str]:
    """Say for every engine which version is installed, or how to install it."""
    return {name: _state(name) for name in _ENGINES}


def _state(engine: str) -> str:
    packages = {
        "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
        "tensorrt": ("tensorrt", "tensorrt-rtx"),
        "triton": ("tritonclient",),
    }
    for package in packages.get(engine, (engine,)):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    extra = "cpu" if engine in _ON_PROCESSORS else engine
    return f'not installed: pip install "pacx[{extra}]"'
