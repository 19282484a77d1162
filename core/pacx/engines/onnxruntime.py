"""ONNX Runtime: the reference on processors, and CUDA or TensorRT where they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from pacx.bundle import Bundle
from pacx.engines.base import (
    GraphEngine,
    Runner,
    batch_shape,
    check_integers,
    integer_graph,
)
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphSpec

if TYPE_CHECKING:
    import onnxruntime

Compute: TypeAlias = Callable[[dict[str, Tensor]], list[Tensor]]
"""Inputs by name -> outputs in the order of the manifest."""
BATCH = 8
"""The batch that the TensorRT provider tunes for, and the most that its first engine takes."""
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
            device: ``cpu``, ``cuda`` or ``tensorrt``; ``cuda:1`` for the second GPU.
            precision: ``f32``, or ``int8`` where the bundle holds the variant that
                ``pacx export int8`` builds; None takes f32.
            threads: None leaves the choice to ONNX Runtime.

        Raises:
            ExtraMissing: ONNX Runtime is not installed.
            EngineUnavailable: The device is not there, or another precision was asked for.
        """
        self._runtime = _runtime()
        chosen = _precision(bundle, precision)
        self._kind, self._index = _device(self._runtime, device)
        self._threads = threads
        super().__init__(bundle, precision=chosen, device=device)

    def load(self, spec: GraphSpec) -> Runner:
        """Open a session; ONNX Runtime lets several threads run it at once."""
        session = self._session(spec)
        names = [tensor.name for tensor in spec.outputs]
        compute: Compute = partial(session.run, names)
        if self._kind != "cpu":
            compute = bound(session, names, "cuda", self._index)

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            try:
                return dict(zip(names, compute(dict(inputs)), strict=True))
            except _failures(self._runtime) as error:
                raise EngineError(f"ONNX Runtime failed to run {spec.file}.") from error

        return run

    def _session(self, spec: GraphSpec) -> onnxruntime.InferenceSession:
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        options.use_deterministic_compute = True
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        if self._kind != "cpu":
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        path = str(self._path(spec))
        try:
            wanted = providers(self._kind, self._index, spec)
            session = self._runtime.InferenceSession(path, options, providers=wanted)
        except _failures(self._runtime) as error:
            raise EngineError(f"ONNX Runtime refuses {spec.file}.") from error
        if session.get_providers()[0] != PROVIDERS[self._kind]:
            raise EngineUnavailable(f"ONNX Runtime could not start the device {self.device}.")
        return session

    def _path(self, spec: GraphSpec) -> Path:
        if self.precision != "int8":
            return self.bundle.path(spec.file)
        return integer_graph(self.bundle, spec, ".onnx")


def _precision(bundle: Bundle, wanted: Precision | None) -> Precision:
    if wanted not in (None, "f32", "int8"):
        raise EngineUnavailable("ONNX Runtime runs these graphs in f32 and int8 only.")
    if wanted == "int8":
        check_integers(bundle, ".onnx")
    return wanted or "f32"


def _runtime() -> ModuleType:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise ExtraMissing(
            'ONNX Runtime is not installed: pip install "pacx[cpu]" or "pacx[gpu]".'
        ) from error


def _device(runtime: ModuleType, device: str) -> tuple[str, int]:
    """Split ``cuda:1`` into kind and index, if ONNX Runtime was built for that kind."""
    kind, _, index = device.partition(":")
    available = runtime.get_available_providers()
    found = [name for name, provider in PROVIDERS.items() if provider in available]
    if kind not in found or not (index or "0").isdecimal():
        raise EngineUnavailable(
            f"ONNX Runtime has no device {device} here; it has {', '.join(found)}."
        )
    return kind, int(index or 0)


def bound(
    session: onnxruntime.InferenceSession, names: Sequence[str], device: str, index: int = 0
) -> Compute:
    """Run a session with its outputs bound to the device, and fetch them in one go.

    Without the binding, ONNX Runtime allocates and copies every output for itself, and waits.

    Args:
        session: Whose graph to run.
        names: The outputs that are wanted.
        device: Where its memory is: ``cpu`` or ``cuda``.
        index: Which of these devices.

    Returns:
        A function: inputs by name -> outputs in the order of ``names``.
    """

    def compute(inputs: dict[str, Tensor]) -> list[Tensor]:
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in names:
            binding.bind_output(name, device, index)
        session.run_with_iobinding(binding)
        found: list[Tensor] = binding.copy_outputs_to_cpu()
        return found

    return compute


def providers(device: str, index: int, spec: GraphSpec) -> list[tuple[str, dict[str, str]]]:
    """Name the execution providers of a device with their options, the wanted one first.

    Float32 means float32: on CUDA its faster, rounded form TF32 is switched off. The TensorRT
    provider is told the sizes of a batch, so that it builds one engine and not one for each, and
    leaves to CUDA what it does not take.
    """
    cuda = (PROVIDERS["cuda"], {"device_id": str(index), "use_tf32": "0"})
    if device == "cpu":
        return [(PROVIDERS["cpu"], {})]
    if device == "cuda":
        return [cuda]
    options = {"device_id": str(index)}
    for size, rows in (("min", 1), ("opt", BATCH), ("max", BATCH)):
        shapes = (f"{t.name}:{'x'.join(map(str, batch_shape(t.shape, rows)))}" for t in spec.inputs)
        options[f"trt_profile_{size}_shapes"] = ",".join(shapes)
    return [(PROVIDERS["tensorrt"], options), cuda]


def _failures(runtime: ModuleType) -> tuple[type[Exception], ...]:
    """ONNX Runtime's exceptions have no public base class of their own."""
    state = runtime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "RuntimeException")
    own = [getattr(state, name) for name in (*names, "NoSuchFile", "NotImplemented", "EPFail")]
    return (*own, RuntimeError, ValueError)
