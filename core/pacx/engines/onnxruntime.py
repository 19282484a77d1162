"""ONNX Runtime: the reference on processors, and CUDA or TensorRT where they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphSpec

if TYPE_CHECKING:
    import onnxruntime

INT8 = "int8/"
"""Folder of the graphs that ``pacx export int8`` adds to a bundle."""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxRuntimeEngine(GraphEngine):
    """Runs graphs through ONNX Runtime in float32 on exactly the device that was asked for."""

    name = "onnxruntime"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cpu",
        precision: Precision | None = None,
        threads: int | None = None,
    ) -> None:
        """Check the device; graphs are loaded when they are first run.

        Args:
            bundle: Whose graphs to run.
            device: ``cpu``, ``cuda`` or ``tensorrt``.
            precision: ``f32``, or ``int8`` where the bundle holds the variant that
                ``pacx export int8`` builds; None takes f32.
            threads: None leaves the choice to ONNX Runtime.

        Raises:
            ExtraMissing: ONNX Runtime is not installed.
            EngineUnavailable: The device is not there, or another precision was asked for.
        """
        self._runtime = _runtime()
        chosen = _precision(bundle, precision)
        self._provider = _provider(self._runtime, device)
        self._threads = threads
        super().__init__(bundle, precision=chosen, device=device)

    def load(self, spec: GraphSpec) -> Runner:
        """Open a session; ONNX Runtime lets several threads run it at once."""
        session = self._session(spec)
        names = [tensor.name for tensor in spec.outputs]

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            try:
                return dict(zip(names, session.run(names, dict(inputs)), strict=True))
            except _failures(self._runtime) as error:
                raise EngineError(f"ONNX Runtime failed to run {spec.file}.") from error

        return run

    def _session(self, spec: GraphSpec) -> onnxruntime.InferenceSession:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.use_deterministic_compute = True
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if self.device != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        path = str(self._path(spec))
        try:
            session = self._runtime.InferenceSession(path, options, providers=[self._provider])
        except _failures(self._runtime) as error:
            raise EngineError(f"ONNX Runtime refuses {spec.file}.") from error
        if session.get_providers()[0] != self._provider:
            raise EngineUnavailable(f"ONNX Runtime could not start the device {self.device}.")
        return session

    def _path(self, spec: GraphSpec) -> Path:
        if self.precision != "int8":
            return self.bundle.path(spec.file)
        if f"{INT8}{spec.file}" not in self.bundle.manifest.files:
            raise EngineUnavailable(f"The bundle has no int8 variant of {spec.file}.")
        return self.bundle.path(f"{INT8}{spec.file}")


def _precision(bundle: Bundle, wanted: Precision | None) -> Precision:
    if wanted not in (None, "f32", "int8"):
        raise EngineUnavailable("ONNX Runtime runs these graphs in f32 and int8 only.")
    if wanted == "int8" and not any(name.startswith(INT8) for name in bundle.manifest.files):
        raise EngineUnavailable("The bundle has no int8 variant; pacx export int8 builds one.")
    return wanted or "f32"


def _runtime() -> ModuleType:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise ExtraMissing(
            'ONNX Runtime is not installed: pip install "pacx[cpu]" or "pacx[gpu]".'
        ) from error


def _provider(runtime: ModuleType, device: str) -> str:
    available = runtime.get_available_providers()
    found = [name for name, provider in PROVIDERS.items() if provider in available]
    if device not in found:
        raise EngineUnavailable(
            f"ONNX Runtime has no device {device} here; it has {', '.join(found)}."
        )
    return PROVIDERS[device]


def _failures(runtime: ModuleType) -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions have no public base class of their own."""
    state = runtime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "RuntimeException")
    own = [getattr(state, name) for name in (*names, "NoSuchFile", "NotImplemented", "EPFail")]
    return (*own, RuntimeError, ValueError)
