"""ONNX -> a serialised TensorRT engine, with whichever of NVIDIA's two libraries is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from pacx.engines.base import batch_shape
from pacx.engines.plans import BatchProfile, Flavour
from pacx.errors import BundleError, EngineUnavailable

Shape = tuple[int, ...]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]
"""Smallest, best and largest shape of every input that has a dynamic axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPlan:
    """A serialised engine.

    Attributes:
        content: What ``deserialize_cuda_engine`` takes.
        layers: Of the network that was parsed.
        timing_cache: What the builder measured; empty for TensorRT for RTX, which measures nothing.
    """

    content: bytes
    layers: int
    timing_cache: bytes = b""


class PlanBuilder:
    """Builds engines for one kind of GPU."""

    def __init__(
        self, flavour: Flavour, library: ModuleType, compute_capability: str | None = None
    ) -> None:
        """Choose the target.

        Args:
            flavour: Which library it is.
            library: ``tensorrt`` or ``tensorrt_rtx``.
            compute_capability: Such as ``8.6``, for TensorRT for RTX, which then needs no GPU;
                None builds for the GPU of this machine.

        Raises:
            EngineUnavailable: The library does not build for it.
        """
        self.flavour, self.version = flavour, str(library.__version__)
        self.compute_capability = compute_capability
        self._library = library
        self._target = None
        if compute_capability is not None:
            self._target = _target(flavour, library, compute_capability)

    def build(self, model: bytes, profile: Profile, timing_cache: bytes = b"") -> BuiltPlan:
        """Parse a graph and build it.

        Args:
            model: Serialised ONNX with its weights inside and its number types written out.
            profile: Of its dynamic inputs.
            timing_cache: Of an earlier build, or empty.

        Raises:
            BundleError: TensorRT refuses the graph, the profile or the target; says why.
        """
        log = _log(self._library)
        builder = self._library.Builder(log)
        network = builder.create_network(self._network_flags())
        self._parse(network, model, log)
        configuration = builder.create_builder_config()
        configuration.clear_flag(self._library.BuilderFlag.TF32)
        if self._target is not None:
            configuration.num_compute_capabilities = 1
            configuration.set_compute_capability(self._target, 0)
        if profile:
            configuration.add_optimization_profile(_profile(builder, profile))
        cache = self._timing_cache(configuration, timing_cache)
        plan = builder.build_serialized_network(network, configuration)
        if plan is None:
            raise BundleError(f"TensorRT builds no engine: {log.first}")
        measured = b"" if cache is None else bytes(cache.serialize())
        return BuiltPlan(content=bytes(plan), layers=network.num_layers, timing_cache=measured)

    def _parse(self, network: Any, model: bytes, log: Any) -> None:  # noqa: ANN401 (untyped library)
        parser = self._library.OnnxParser(network, log)
        if not parser.parse(model):
            error = parser.get_error(0)
            raise BundleError(f"TensorRT does not take {error.node_operator()}: {error.desc()}")

    def _network_flags(self) -> int:
        """Types come from the graph: all that TensorRT for RTX knows, and a flag in TensorRT."""
        if self.flavour == "tensorrt_rtx":
            return 0
        return 1 << int(self._library.NetworkDefinitionCreationFlag.STRONGLY_TYPED)

    def _timing_cache(self, configuration: Any, content: bytes) -> Any:  # noqa: ANN401
        if self.flavour == "tensorrt_rtx":
            return None
        cache = configuration.create_timing_cache(content)
        if not configuration.set_timing_cache(cache, ignore_mismatch=False):
            raise BundleError("The timing cache belongs to another GPU or version.")
        return cache


def batch_profile(inputs: Mapping[str, tuple[int | str, ...]], batch: BatchProfile) -> Profile:
    """Give every input with a dynamic axis the sizes of a batch."""
    return {
        name: (
            batch_shape(shape, batch.minimum),
            batch_shape(shape, batch.optimum),
            batch_shape(shape, batch.maximum),
        )
        for name, shape in inputs.items()
        if any(isinstance(axis, str) for axis in shape)
    }


def _target(flavour: Flavour, library: ModuleType, compute_capability: str) -> Any:  # noqa: ANN401
    if flavour != "tensorrt_rtx":
        raise EngineUnavailable("Only TensorRT for RTX builds for a GPU that is not there.")
    known = {
        f"{name[2:-1]}.{name[-1]}": value
        for name, value in library.ComputeCapability.__members__.items()
        if name.startswith("SM")
    }
    if compute_capability not in known:
        raise EngineUnavailable(f"TensorRT for RTX builds for {', '.join(known)} only.")
    return known[compute_capability]


def _profile(builder: Any, shapes: Profile) -> Any:  # noqa: ANN401 (untyped library)
    profile = builder.create_optimization_profile()
    for name, (smallest, best, largest) in shapes.items():
        try:
            profile.set_shape(name, smallest, best, largest)
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"TensorRT refuses the profile of {name}.") from error
    return profile


def _log(library: ModuleType) -> Any:  # noqa: ANN401 (untyped library)
    """Keep the first error, which says more than the ``None`` that a failed build returns."""

    class Log(library.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first = "no reason given"
            self._found = False

        def log(self, severity: object, message: str) -> None:
            wrong = severity in (library.ILogger.ERROR, library.ILogger.INTERNAL_ERROR)
            if wrong and not self._found:
                self.first, self._found = message, True

    return Log()
