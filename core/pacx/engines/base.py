"""What all engines share: graphs loaded on first use, checked inputs and checked outputs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import TypeAlias

import numpy as np

from pacx.bundle import Bundle
from pacx.engines.protocol import Precision, Tensor
from pacx.errors import EngineError, EngineUnavailable, NonFiniteOutput
from pacx.manifest import GraphName, GraphSpec, TensorSpec

Runner: TypeAlias = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
"""Runs one loaded graph: inputs by name -> outputs by name."""
INT8 = "int8/"
"""Folder of the graphs that ``pacx export int8`` adds to a bundle."""


class GraphEngine(ABC):
    """An engine that loads a graph when it is first asked for, once, whatever the thread."""

    name: str

    def __init__(self, bundle: Bundle, *, precision: Precision, device: str) -> None:
        self.bundle = bundle
        self.precision = precision
        self.device = device
        self._runners: dict[str, Runner] = {}
        self._lock = Lock()
        self._closed = False

    @abstractmethod
    def load(self, spec: GraphSpec) -> Runner:
        """Compile one graph; what it returns may be called from several threads.

        Raises:
            EngineError: The runtime refuses the graph.
        """

    def run(self, graph: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Run one graph; see :class:`pacx.engines.protocol.Engine`."""
        spec = graph_spec(self.bundle, graph)
        checked = check_inputs(spec, inputs)
        outputs = self._runner(graph, spec)(checked)
        return check_outputs(spec, outputs, rows=len(checked[spec.inputs[0].name]))

    def close(self) -> None:
        """Free every loaded graph; later calls of ``run`` fail."""
        with self._lock:
            self._closed = True
            self._runners.clear()

    def _runner(self, graph: str, spec: GraphSpec) -> Runner:
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.")
            if graph not in self._runners:
                self._runners[graph] = self.load(spec)
            return self._runners[graph]


def graph_spec(bundle: Bundle, graph: str) -> GraphSpec:
    """Find a graph by name.

    Raises:
        EngineError: The bundle has no such graph.
    """
    specs = {str(name): spec for name, spec in bundle.manifest.graphs.items()}
    if graph not in specs:
        raise EngineError(f"The bundle has no graph {graph}; it has {', '.join(specs)}.")
    return specs[graph]


def integer_graph(bundle: Bundle, spec: GraphSpec, suffix: str) -> Path:
    """Find the integer variant of a graph in an engine's own format.

    Raises:
        EngineUnavailable: The bundle holds none.
    """
    name = f"{INT8}{PurePosixPath(spec.file).with_suffix(suffix)}"
    if name not in bundle.manifest.files:
        raise EngineUnavailable(f"The bundle has no int8 variant of {spec.file} for this engine.")
    return bundle.path(name)


def check_integers(bundle: Bundle, suffix: str) -> None:
    """Refuse to promise integers to an engine for which a bundle holds none.

    Raises:
        EngineUnavailable: ``pacx export int8`` added nothing for it.
    """
    names = bundle.manifest.files
    if not any(name.startswith(INT8) and name.endswith(suffix) for name in names):
        raise EngineUnavailable(
            "The bundle has no int8 variant for this engine; pacx export int8 builds one."
        )


def graph_name(bundle: Bundle, spec: GraphSpec) -> GraphName:
    """Find the name of a graph of the bundle."""
    return next(name for name, graph in bundle.manifest.graphs.items() if graph is spec)


def batch_shape(shape: tuple[int | str, ...], rows: int) -> tuple[int, ...]:
    """Put a number of rows in the place of the dynamic axis, if there is one."""
    return tuple(rows if isinstance(axis, str) else axis for axis in shape)


def in_parts(inputs: Mapping[str, Tensor], most: int) -> Iterator[dict[str, Tensor]]:
    """Cut a batch into parts of at most ``most`` rows."""
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, most):
        yield {name: array[start : start + most] for name, array in inputs.items()}


def check_inputs(spec: GraphSpec, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Refuse wrong names, types and shapes before native code sees them.

    Returns:
        The same tensors, contiguous.

    Raises:
        EngineError: Says which input is wrong and what is expected.
    """
    names = [tensor.name for tensor in spec.inputs]
    if sorted(inputs) != sorted(names):
        raise EngineError(f"{spec.file} takes the inputs {', '.join(names)}.")
    sizes: dict[str, int] = {}
    for tensor in spec.inputs:
        _check_tensor(spec, tensor, inputs[tensor.name], sizes)
    if 0 in sizes.values():
        raise EngineError(f"{spec.file}: a batch holds at least one image.")
    return {name: np.ascontiguousarray(inputs[name]) for name in names}


def check_outputs(
    spec: GraphSpec, outputs: Mapping[str, Tensor], *, rows: int
) -> dict[str, Tensor]:
    """Refuse outputs that are missing, of another shape or not finite.

    Raises:
        EngineError: An output is missing or has another shape or number of rows.
        NonFiniteOutput: An output holds NaN or infinity.
    """
    dynamic = {axis for tensor in spec.inputs for axis in tensor.shape if isinstance(axis, str)}
    sizes = dict.fromkeys(dynamic, rows)
    for tensor in spec.outputs:
        if tensor.name not in outputs:
            raise EngineError(f"{spec.file} did not return {tensor.name}.")
        _check_tensor(spec, tensor, outputs[tensor.name], sizes)
        if not np.isfinite(outputs[tensor.name]).all():
            raise NonFiniteOutput(f"{spec.file}: {tensor.name} holds a number that is not finite.")
    return {tensor.name: outputs[tensor.name] for tensor in spec.outputs}


def _check_tensor(
    spec: GraphSpec, tensor: TensorSpec, array: Tensor, sizes: dict[str, int]
) -> None:
    """Compare with the manifest; ``sizes`` remembers the dynamic axes seen so far."""
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(tensor.dtype):
        raise EngineError(f"{spec.file}: {tensor.name} must be an array of {tensor.dtype}.")
    wanted = tensor.shape
    if array.ndim == len(wanted):
        wanted = tuple(
            sizes.setdefault(axis, length) if isinstance(axis, str) else axis
            for axis, length in zip(wanted, array.shape, strict=True)
        )
    if array.shape != wanted:
        shape = ", ".join(str(axis) for axis in tensor.shape)
        raise EngineError(f"{spec.file}: {tensor.name} must have the shape [{shape}].")
