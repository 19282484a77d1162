"""TensorRT and TensorRT for RTX: engines that ``pacx export tensorrt`` built, on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from queue import Empty, SimpleQueue
from threading import Lock
from types import ModuleType
from typing import Any, get_args

import numpy as np

from pacx.bundle import Bundle
from pacx.engines.base import GraphEngine, Runner, batch_shape, graph_name, in_parts
from pacx.engines.cuda import Cuda
from pacx.engines.plans import Flavour, Machine, choose_engines
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing
from pacx.manifest import GraphSpec


class TensorRtEngine(GraphEngine):
    """Runs engines through pinned buffers, each batch size recorded as one CUDA graph."""

    name = "tensorrt"

    def __init__(
        self,
        bundle: Bundle,
        *,
        device: str = "cuda",
        precision: Precision | None = None,
        threads: int | None = None,  # noqa: ARG002 (the GPU decides)
    ) -> None:
        """Find the engines that fit this machine; they are loaded when they are first run.

        Args:
            bundle: One that ``pacx export tensorrt`` added engines to.
            device: ``cuda`` or ``cuda:1``, ...
            precision: ``f16``, ``bf16`` or ``f32``; None takes the first of them that is there.
            threads: Ignored.

        Raises:
            ExtraMissing: Neither TensorRT nor TensorRT for RTX is installed.
            EngineUnavailable: There is no such GPU, or no engine of the bundle fits.
        """
        libraries = installed()
        self._cuda = Cuda(_index(device))
        machines = [_machine(name, library, self._cuda) for name, library in libraries.items()]
        self._set = choose_engines(bundle, machines, precision)
        self._library = libraries[self._set.runtime]
        self._pools: list[_Pool] = []
        super().__init__(bundle, precision=self._set.precision, device=device)

    def load(self, spec: GraphSpec) -> Runner:
        """Read one engine into the GPU."""
        pool = _Pool(self._cuda, self._engine(spec), spec, self._library)
        self._pools.append(pool)
        most = self._set.batch.maximum

        def run(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
            parts = [pool(part) for part in in_parts(inputs, most)]
            return {
                tensor.name: np.concatenate([part[tensor.name] for part in parts])
                for tensor in spec.outputs
            }

        return run

    def close(self) -> None:
        """Free all memory; later calls of ``run`` fail."""
        super().close()
        for pool in self._pools:
            pool.free()
        self._pools.clear()

    def _engine(self, spec: GraphSpec) -> Any:  # noqa: ANN401 (the library has no types)
        plan = self._set.plans.get(graph_name(self.bundle, spec))
        if plan is None:
            raise EngineUnavailable(f"The bundle has no TensorRT engine of {spec.file}.")
        self._cuda.use()
        runtime = self._library.Runtime(self._library.Logger(self._library.Logger.ERROR))
        engine = runtime.deserialize_cuda_engine(self.bundle.path(plan.file).read_bytes())
        if engine is None:
            raise EngineError(f"TensorRT refuses {plan.file}.")
        return engine


class _Pool:
    """Lanes of one engine by batch size, each used by one thread at a time."""

    def __init__(
        self,
        cuda: Cuda,
        engine: Any,  # noqa: ANN401 (the library has no types)
        spec: GraphSpec,
        library: ModuleType,
    ) -> None:
        self._cuda, self._engine, self._spec, self._library = cuda, engine, spec, library
        self._idle: dict[int, SimpleQueue[_Lane]] = {}
        self._all: list[_Lane] = []
        self._lock = Lock()

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rows = len(inputs[self._spec.inputs[0].name])
        self._cuda.use()
        with self._lane(rows) as lane:
            return lane(inputs)

    def free(self) -> None:
        for lane in self._all:
            lane.free()

    @contextmanager
    def _lane(self, rows: int) -> Iterator[_Lane]:
        with self._lock:
            idle = self._idle.setdefault(rows, SimpleQueue())
        try:
            lane = idle.get_nowait()
        except Empty:
            lane = self._make(rows)
        yield lane
        # Not given back after an error: a lane that failed may hold a broken stream.
        idle.put(lane)

    def _make(self, rows: int) -> _Lane:
        """Captures may not overlap with allocations, so lanes are made one at a time."""
        with self._lock:
            context = _context(self._engine, self._library)
            lane = _Lane(self._cuda, context, self._spec, rows)
            self._all.append(lane)
            return lane


class _Lane:
    """Buffers, stream and recorded graph of one batch size.

    The execution context is the lane's own, because a recorded graph keeps the shapes and the
    scratch memory of its context.
    """

    def __init__(self, cuda: Cuda, context: Any, spec: GraphSpec, rows: int) -> None:  # noqa: ANN401
        self._cuda, self._context = cuda, context
        self._stream = cuda.stream()
        shapes = {
            tensor.name: batch_shape(tensor.shape, rows) for tensor in (*spec.inputs, *spec.outputs)
        }
        self._host = {name: cuda.pinned(shape) for name, shape in shapes.items()}
        self._device = {name: cuda.allocate(array.nbytes) for name, array in self._host.items()}
        self._inputs = [tensor.name for tensor in spec.inputs]
        self._outputs = [tensor.name for tensor in spec.outputs]
        self._bind(shapes)
        self._enqueue()
        cuda.synchronise(self._stream)
        self._graph = cuda.record(self._stream, self._enqueue) if self._recordable() else None

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for name in self._inputs:
            self._host[name][...] = inputs[name]
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph, self._stream)
        self._cuda.synchronise(self._stream)
        return {name: self._host[name].copy() for name in self._outputs}

    def free(self) -> None:
        self._cuda.free(
            stream=self._stream,
            graph=self._graph,
            device=tuple(self._device.values()),
            pinned=tuple(self._host.values()),
        )

    def _bind(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        for name, address in self._device.items():
            self._context.set_tensor_address(name, address)
        for name in self._inputs:
            if not self._context.set_input_shape(name, shapes[name]):
                raise EngineError(f"TensorRT refuses a batch of {shapes[name][0]}.")

    def _enqueue(self) -> None:
        for name in self._inputs:
            self._cuda.upload(self._device[name], self._host[name], self._stream)
        if not self._context.execute_async_v3(int(self._stream)):
            raise EngineError("TensorRT failed to run an engine.")
        for name in self._outputs:
            self._cuda.download(self._host[name], self._device[name], self._stream)

    def _recordable(self) -> bool:
        """Classic TensorRT has no such question; its engines of this kind can be recorded."""
        ask = getattr(self._context, "is_stream_capturable", None)
        return ask is None or bool(ask(int(self._stream)))


def installed() -> dict[Flavour, ModuleType]:
    """Import the runtimes that are installed.

    Raises:
        ExtraMissing: There is none.
    """
    found: dict[Flavour, ModuleType] = {}
    for name in get_args(Flavour):
        try:
            found[name] = import_module(name)
        except ImportError:
            continue
    if not found:
        raise ExtraMissing('TensorRT is not installed: pip install "pacx[tensorrt]".')
    return found


def _machine(runtime: Flavour, library: ModuleType, cuda: Cuda) -> Machine:
    return Machine(
        runtime=runtime,
        version=library.__version__,
        gpu=cuda.gpu,
        compute_capability=cuda.compute_capability,
    )


def _index(device: str) -> int:
    kind, _, index = device.partition(":")
    if kind != "cuda" or not (index or "0").isdecimal():
        raise EngineUnavailable("TensorRT runs on the devices cuda, cuda:1 and so on only.")
    return int(index or 0)


def _context(engine: Any, library: ModuleType) -> Any:  # noqa: ANN401 (the library has no types)
    """TensorRT for RTX compiles kernels at run time; they must be ready before a recording."""
    if not hasattr(library, "DynamicShapesKernelSpecializationStrategy"):
        return engine.create_execution_context()
    configuration = engine.create_runtime_config()
    strategy = library.DynamicShapesKernelSpecializationStrategy.EAGER
    configuration.dynamic_shapes_kernel_specialization_strategy = strategy
    return engine.create_execution_context(configuration)
