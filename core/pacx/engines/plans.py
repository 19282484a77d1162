"""What a bundle says about the TensorRT engines that ``pacx export tensorrt`` added to it.

An engine runs on the kind of GPU and the version it was built for, and it holds a copy of the
weights. Both are checked before it is loaded, so that a stale engine is an error and no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pacx.bundle import HEADS, WEIGHTS, Bundle
from pacx.engines.protocol import Precision
from pacx.errors import BundleError, EngineUnavailable
from pacx.manifest import FileName, GraphName, Sha256

FOLDER = "tensorrt/"
FILE = "engines.json"
FASTEST: tuple[Precision, ...] = ("f16", "bf16", "f32")
"""What is taken where no precision is asked for, the fastest first."""

Flavour = Literal["tensorrt", "tensorrt_rtx"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BatchProfile(_Frozen):
    """The sizes of a batch that an engine takes, and the one that it is tuned for."""

    minimum: int = Field(1, ge=1)
    optimum: int = Field(8, ge=1)
    maximum: int = Field(8, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.minimum <= self.optimum <= self.maximum:
            raise ValueError("the batch sizes must be in the order minimum, optimum, maximum")
        return self


class Plan(_Frozen):
    """One serialised engine and the graph it was built from."""

    file: FileName
    graph_sha256: Sha256 = Field(description="Of the bundle's ONNX graph.")
    layers: int = Field(ge=1, description="Of the network that was built.")


class EngineSet(_Frozen):
    """``engines.json``: engines that were built together for one kind of GPU.

    Attributes:
        runtime: Package that built them and that must run them.
        version: Of the package; engines of another version are refused.
        gpu: Name of the GPU they were tuned on; None where they were built without one.
        compute_capability: Of the GPU, such as ``8.6``.
        precision: Of matrix products and convolutions.
        batch: Sizes of a batch.
        weights: Hashes of the weight files that the engines hold.
        plans: By graph.
        proved_on: What was compared with float32 when they were built: the engines themselves on
            the GPU, or their graphs with emulated rounding on ONNX Runtime.
    """

    runtime: Flavour
    version: str = Field(pattern=r"^[0-9][0-9A-Za-z.+]*$")
    gpu: str | None
    compute_capability: str = Field(pattern=r"^[0-9]+\.[0-9]$")
    precision: Precision
    batch: BatchProfile
    weights: dict[FileName, Sha256]
    plans: dict[GraphName, Plan]
    proved_on: Literal["gpu", "onnxruntime"]

    def mismatch(self, bundle: Bundle, machine: Machine) -> str | None:
        """Say why these engines may not run on a machine; None where they may."""
        wanted = {
            "the runtime": (self.runtime, machine.runtime),
            f"{self.runtime}": (self.version, machine.version),
            "compute capability": (self.compute_capability, machine.compute_capability),
            "the GPU": (self.gpu or machine.gpu, machine.gpu),
        }
        for what, (built, here) in wanted.items():
            if built != here:
                return f"{what} was {built} when they were built and is {here} here"
        return self._stale(bundle)

    def _stale(self, bundle: Bundle) -> str | None:
        """Name the file that is another one than the engines were built from."""
        built = dict(self.weights)
        for graph, plan in self.plans.items():
            if graph not in bundle.manifest.graphs:
                return f"the bundle has no graph {graph}"
            built[bundle.manifest.graphs[graph].file] = plan.graph_sha256
        now = hashes(bundle, built)
        stale = [name for name in built if built[name] != now.get(name)]
        return f"{', '.join(stale)} changed since they were built" if stale else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What engines are to run on: a runtime and a GPU."""

    runtime: Flavour
    version: str
    gpu: str
    compute_capability: str


def hashes(bundle: Bundle, names: Mapping[str, object] | Sequence[str] = ()) -> dict[str, str]:
    """Give the hashes of files by name, of the two weight files where none are named."""
    files = bundle.manifest.files
    return {name: files[name].sha256 for name in names or (WEIGHTS, HEADS) if name in files}


def engine_sets(bundle: Bundle) -> tuple[EngineSet, ...]:
    """Read what engines a bundle holds.

    Raises:
        BundleError: An ``engines.json`` is not valid.
    """
    return tuple(_read(bundle))


def _read(bundle: Bundle) -> Iterator[EngineSet]:
    for name in sorted(bundle.manifest.files):
        if name.startswith(FOLDER) and name.endswith(f"/{FILE}"):
            try:
                yield EngineSet.model_validate_json(bundle.path(name).read_bytes())
            except ValidationError as error:
                raise BundleError(f"{name} does not describe TensorRT engines.") from error


def choose_engines(
    bundle: Bundle, machines: Sequence[Machine], precision: Precision | None
) -> EngineSet:
    """Find the engines of a bundle that run on a machine.

    Args:
        bundle: Where ``pacx export tensorrt`` added them.
        machines: This machine, once for every runtime that is installed.
        precision: None takes the fastest that there is.

    Raises:
        EngineUnavailable: There are none; says why each of those that are there does not fit.
    """
    order = FASTEST if precision is None else (precision,)
    candidates = [found for found in engine_sets(bundle) if found.precision in order]
    if not candidates:
        wanted = "" if precision is None else f" in {precision}"
        raise EngineUnavailable(
            f"The bundle has no TensorRT engines{wanted}; pacx export tensorrt builds them."
        )
    candidates.sort(key=lambda found: order.index(found.precision))
    refusals: list[str] = []
    for found in candidates:
        for machine in machines:
            reason = found.mismatch(bundle, machine)
            if reason is None:
                return found
            refusals.append(f"{found.precision} for {found.compute_capability}: {reason}")
    raise EngineUnavailable(f"No TensorRT engine of the bundle fits. {'; '.join(refusals)}.")
