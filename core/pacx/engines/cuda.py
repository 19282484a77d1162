"""What the TensorRT engine needs of CUDA's runtime, with errors instead of return codes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from math import prod
from types import ModuleType
from typing import Any

import numpy as np

from pacx.engines.protocol import Tensor
from pacx.errors import EngineError, EngineUnavailable, ExtraMissing

_FLOAT_BYTES = 4


class Cuda:
    """One GPU; every method may be called from several threads.

    Attributes:
        gpu: Its name, such as ``NVIDIA A10``.
        compute_capability: Such as ``8.6``.
    """

    def __init__(self, index: int = 0) -> None:
        """Start CUDA.

        Args:
            index: Which GPU, counted from 0.

        Raises:
            ExtraMissing: cuda-bindings is not installed.
            EngineUnavailable: There is no driver, or no GPU of this index.
        """
        self._api = _runtime()
        self._index = index
        try:
            count = self._call("cudaGetDeviceCount")
        except EngineError as error:
            raise EngineUnavailable(
                f"There is no NVIDIA GPU to use here. {error.detail}"
            ) from error
        if index >= count:
            raise EngineUnavailable(f"There is no GPU cuda:{index} here; there are {count}.")
        properties = self._call("cudaGetDeviceProperties", index)
        self.gpu = properties.name.decode("ascii", "replace")
        self.compute_capability = f"{properties.major}.{properties.minor}"

    def use(self) -> None:
        """Make this GPU the current one of the calling thread, as CUDA asks for."""
        self._call("cudaSetDevice", self._index)

    def stream(self) -> Any:  # noqa: ANN401 (a handle of CUDA's)
        """Make a stream that does not wait for the default stream."""
        return self._call("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking)

    def synchronise(self, stream: object) -> None:
        """Wait until all work of a stream is done."""
        self._call("cudaStreamSynchronize", stream)

    def allocate(self, count_bytes: int) -> int:
        """Allocate memory of the GPU; returns its address."""
        return int(self._call("cudaMalloc", count_bytes))

    def pinned(self, shape: tuple[int, ...]) -> Tensor:
        """Allocate page-locked memory, which the GPU copies without help of the processor."""
        flags = self._api.cudaHostAllocDefault
        address = self._call("cudaHostAlloc", prod(shape) * _FLOAT_BYTES, flags)
        floats = (ctypes.c_float * prod(shape)).from_address(int(address))
        return np.ctypeslib.as_array(floats).reshape(shape)

    def upload(self, target: int, source: Tensor, stream: object) -> None:
        """Copy pinned memory to the GPU in the order of a stream."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", target, source.ctypes.data, source.nbytes, kind, stream)

    def download(self, target: Tensor, source: int, stream: object) -> None:
        """Copy memory of the GPU to pinned memory in the order of a stream."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", target.ctypes.data, source, target.nbytes, kind, stream)

    def record(self, stream: object, work: Callable[[], None]) -> Any:  # noqa: ANN401 (a handle)
        """Record what ``work`` puts on a stream as a graph, which launches it all in one call."""
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        finally:
            graph = self._call("cudaStreamEndCapture", stream)
        executable = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        return executable

    def launch(self, graph: object, stream: object) -> None:
        """Put a recorded graph on a stream."""
        self._call("cudaGraphLaunch", graph, stream)

    def free(
        self,
        *,
        stream: object,
        graph: object | None,
        device: tuple[int, ...],
        pinned: tuple[Tensor, ...],
    ) -> None:
        """Give back what the methods above made."""
        self.use()
        self.synchronise(stream)
        if graph is not None:
            self._call("cudaGraphExecDestroy", graph)
        for address in device:
            self._call("cudaFree", address)
        for array in pinned:
            self._call("cudaFreeHost", array.ctypes.data)
        self._call("cudaStreamDestroy", stream)

    def _call(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 (as CUDA returns it)
        status, *values = getattr(self._api, function)(*arguments)
        if status != self._api.cudaError_t.cudaSuccess:
            _, text = self._api.cudaGetErrorString(status)
            raise EngineError(f"{function}: {text.decode('ascii', 'replace')}.")
        return values[0] if values else None


def _runtime() -> ModuleType:
    try:
        return import_module("cuda.bindings.runtime")
    except ImportError as error:
        raise ExtraMissing('CUDA is not installed: pip install "pacx[tensorrt]".') from error
