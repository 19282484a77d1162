"""OpenVINO: the default engine on processors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import numpy as np

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner, check_integers, integer_graph
from pacx.engines.protocol import Precision, Tensor
from pacx.engines.replay import refusal
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphSpec

if TYPE_CHECKING:
    import openvino

_CAPABILITIES: dict[Precision, str] = {
    "f32": "FP32",
    "bf16": "BF16",
    "f16": "FP16",
    "int8": "INT8",
}


class OpenVinoEngine(GraphEngine):
    """Runs graphs through OpenVINO, one stream with all threads for the lowest latency."""

    name = "openvino"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        """Choose device and precision; graphs are compiled when they are first run.

        Args:
            bundle: Whose graphs to run.
            device: ``cpu``, ``gpu`` or ``npu``, as OpenVINO names them.
            precision: None takes bf16 where the processor has it and the bundle was
                verified in it, else f32. ``int8`` needs the variant that ``pacx export int8``
                builds; what is not integer in it is computed in float32.
            threads: None leaves the choice to OpenVINO.

        Raises:
            ExtraMissing: OpenVINO is not installed.
            EngineUnavailable: The device is not there or has not this precision.
        """
        self._core = _core()
        self._device = device.upper()
        capabilities = _capabilities(self._core, self._device)
        chosen = precision or _fastest(bundle, capabilities)
        _check_precision(chosen, capabilities, device)
        if chosen == "int8":
            check_integers(bundle, ".xml")
        super().__init__(bundle, precision=chosen, device=device)
        self._configuration = _configuration(chosen, threads)

    def load(self, spec: GraphSpec) -> Runner:
        """Compile one graph; requests are made as threads need them and then used again."""
        path = self._path(spec)
        try:
            compiled = self._core.compile_model(path, self._device, self._configuration)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO refuses {spec.file}.") from error
        return _Pool(compiled, spec)

    def _path(self, spec: GraphSpec) -> Path:
        if self.precision == "int8":
            return integer_graph(self.bundle, spec, ".xml")
        return self.bundle.path(spec.file)


class _Pool:
    """Inference requests of one compiled graph, each used by one thread at a time."""

    def __init__(self, compiled: openvino.CompiledModel, spec: GraphSpec) -> None:
        self._compiled = compiled
        self._spec = spec
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        request = self._take()
        try:
            request.infer(dict(inputs), share_inputs=True)
            return {
                tensor.name: np.array(request.get_tensor(tensor.name).data, dtype=np.float32)
                for tensor in self._spec.outputs
            }
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed to run {self._spec.file}.") from error
        finally:
            self._idle.put(request)

    def _take(self) -> openvino.InferRequest:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiled.create_infer_request()


def _core() -> openvino.Core:
    try:
        import openvino
    except ImportError as error:
        raise ExtraMissing('OpenVINO is not installed: pip install "pacx[cpu]".') from error
    return openvino.Core()


def _capabilities(core: openvino.Core, device: str) -> frozenset[str]:
    available = [str(name) for name in core.available_devices]
    if device not in {name.split(".")[0] for name in available}:
        found = ", ".join(name.lower() for name in available)
        raise EngineUnavailable(f"OpenVINO has no device {device.lower()} here; it has {found}.")
    return frozenset(core.get_property(device, "OPTIMIZATION_CAPABILITIES"))


def _fastest(bundle: Bundle, capabilities: frozenset[str]) -> Precision:
    refused = refusal(bundle.manifest, "predict", OpenVinoEngine.name, "bf16") is not None
    return "bf16" if "BF16" in capabilities and not refused else "f32"


def _check_precision(precision: Precision, capabilities: frozenset[str], device: str) -> None:
    if _CAPABILITIES[precision] not in capabilities:
        raise EngineUnavailable(f"This {device} does not compute in {precision}.")


def _configuration(precision: Precision, threads: int | None) -> dict[str, str | int]:
    configuration: dict[str, str | int] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32" if precision == "int8" else precision,
    }
    if threads is not None:
        configuration["INFERENCE_NUM_THREADS"] = threads
    return configuration
